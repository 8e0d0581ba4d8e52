// SPDX-License-Identifier: BSD-3-Clause
// The couplings of a tensor product along edges.
#pragma once

#include "model/weights.hpp"
#include "reference/edges.hpp"
#include "so3/coupling.hpp"

#include <vector>

namespace eqnn::reference {

/// Calls use(component of the source, of the harmonics, of the output, w3j) for all nonzero entries
/// of a path.
template <class Use> void
for_coupling(const TensorProductPath& path, const Irreps& in, const Irreps& out, const Use& use) {
  const std::int32_t l1 = block(in, path.source).l;
  const std::int32_t l3 = block(out, path.out).l;
  const std::vector<double> w3j = so3::wigner_3j(l1, path.l, l3);
  std::size_t k = 0;
  for (std::int32_t m1 = 0; m1 < 2 * l1 + 1; ++m1) {
    for (std::int32_t m2 = 0; m2 < 2 * path.l + 1; ++m2) {
      for (std::int32_t m3 = 0; m3 < 2 * l3 + 1; ++m3, ++k) {
        if (w3j[k] != 0.0) {
          use(first_component(in, path.source) + m1,
              path.l * path.l + m2,
              first_component(out, path.out) + m3,
              w3j[k]);
        }
      }
    }
  }
}

} // namespace eqnn::reference
