// SPDX-License-Identifier: BSD-3-Clause
#include "plan/stages/neighbor_sum.hpp"

namespace eqnn::plan {

std::string NeighborSum::describe(const ValueNames& names) const {
  return names.out(out) + "sum over neighbors, matrix " + std::to_string(matrix) + ", radial " +
         std::to_string(radial);
}

} // namespace eqnn::plan
