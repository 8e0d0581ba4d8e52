// SPDX-License-Identifier: BSD-3-Clause
// Real spherical harmonics: the definition, general in l, in double. docs/spec/conventions.md
#pragma once

#include "base/irreps.hpp"

#include <array>
#include <cstdint>
#include <vector>

namespace eqnn::so3 {

struct Harmonics {
  std::vector<double> value;                   ///< [(l_max+1)^2], component l^2 + l + m
  std::vector<std::array<double, 3>> gradient; ///< [(l_max+1)^2] d value / d vector, 1/Angstrom
};

/// Component normalized (sum over m of Y_lm^2 = 2l+1), e3nn's axes: the polar axis is y, so
/// (Y_1,-1, Y_10, Y_11) = sqrt(3) (x, y, z)/r. No Condon-Shortley phase. The vector needs a length
/// above 0 and is normalized inside.
Harmonics spherical_harmonics(std::int32_t l_max, const std::array<double, 3>& vector);

} // namespace eqnn::so3
