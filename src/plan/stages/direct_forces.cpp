// SPDX-License-Identifier: BSD-3-Clause
#include "plan/stages/direct_forces.hpp"

#include "plan/plan_builder.hpp"

namespace eqnn::plan {

std::string DirectForces::describe(const ValueNames& names) const {
  return "forces = vectors of " + names.in(in);
}

void lower(const DirectForcesStage& op, PlanBuilder& build) {
  build.add(DirectForces{build.compact(op.features)});
}

} // namespace eqnn::plan
