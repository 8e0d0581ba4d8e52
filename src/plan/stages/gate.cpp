// SPDX-License-Identifier: BSD-3-Clause
#include "plan/stages/gate.hpp"

#include "plan/plan_builder.hpp"

namespace eqnn::plan {

std::string Gate::describe(const ValueNames& names) const {
  return names.out(out) + "gate of " + names.in(features) + " by " + names.in(gates);
}

void lower(const GateStage& op, PlanBuilder& build) {
  const Input features = build.compact(op.features);
  const Input gates = build.compact(op.gates);
  const ValueId out = build.output();
  build.add(Gate{out, features, gates});
}

} // namespace eqnn::plan
