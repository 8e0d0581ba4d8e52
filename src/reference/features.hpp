// SPDX-License-Identifier: BSD-3-Clause
// Values with irreps. Blocks store their components one after another. Blocks with fewer channels
// than the widest one leave the rest at zero.
#pragma once

#include "base/irreps.hpp"
#include "reference/value.hpp"

#include <algorithm>
#include <cstddef>

namespace eqnn::reference {

/// Zeros for node features of these irreps.
inline Value features(std::int64_t rows, const Irreps& irreps) {
  std::int32_t widest = 0;
  for (const IrrepsBlock& b : irreps) {
    widest = std::max(widest, b.channels);
  }
  return {rows, component_count(irreps), widest};
}

} // namespace eqnn::reference
