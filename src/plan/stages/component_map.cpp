// SPDX-License-Identifier: BSD-3-Clause
#include "plan/stages/component_map.hpp"

namespace eqnn::plan {

std::string ComponentMap::describe(const ValueNames& names) const {
  return names.out(out) + "components mixed of " + names.in(in);
}

} // namespace eqnn::plan
