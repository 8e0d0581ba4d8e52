// SPDX-License-Identifier: BSD-3-Clause
#include "plan/stages/cp_product.hpp"

namespace eqnn::plan {

std::string CpProduct::describe(const ValueNames& names) const {
  return names.out(out) + "CP product of " + names.in(source) + ", radial " +
         std::to_string(radial) + ", rank " + std::to_string(rank) +
         (source_factor.empty() ? ", source mixed on nodes" : ", source mixed on edges");
}

} // namespace eqnn::plan
