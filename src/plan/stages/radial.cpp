// SPDX-License-Identifier: BSD-3-Clause
#include "plan/plan_builder.hpp"

namespace eqnn::plan {

void lower(const RadialStage& op, PlanBuilder& build) {
  build.current_is_radial(tabulate(op, build.model().cutoff, build.options()));
}

} // namespace eqnn::plan
