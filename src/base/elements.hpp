// SPDX-License-Identifier: BSD-3-Clause
// Chemical symbols, atomic numbers and masses.
#pragma once

#include <string>
#include <string_view>

namespace eqnn {

inline constexpr int kHeaviestElement = 118;

/// "H" for 1; throws Error outside 1..118.
std::string element_symbol(int atomic_number);

/// Standard atomic weight in unified atomic mass units; throws Error outside 1..118.
double atomic_mass(int atomic_number);

/// 1 for "H"; 0 if the text is not an element symbol.
int atomic_number(std::string_view symbol);

} // namespace eqnn
