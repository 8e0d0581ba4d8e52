// SPDX-License-Identifier: BSD-3-Clause
#include "plan/stages/equivariant_norm.hpp"

#include "plan/plan_builder.hpp"

namespace eqnn::plan {

std::string EquivariantNorm::describe(const ValueNames& names) const {
  return names.out(out) + "equivariant norm of " + names.in(in);
}

void lower(const EquivariantNormStage& op, PlanBuilder& build) {
  const Input in = build.compact(op.features);
  const ValueId out = build.output();
  build.add(EquivariantNorm{out, in, op.eps, op.scale.values, op.shift.values});
}

} // namespace eqnn::plan
