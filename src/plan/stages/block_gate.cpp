// SPDX-License-Identifier: BSD-3-Clause
#include "plan/stages/block_gate.hpp"

namespace eqnn::plan {

std::string BlockGate::describe(const ValueNames& names) const {
  return names.out(out) + "gate of " + names.in(in);
}

} // namespace eqnn::plan
