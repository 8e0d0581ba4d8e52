// SPDX-License-Identifier: BSD-3-Clause
#include "base/error.hpp"
#include "plan/plan_builder.hpp"

namespace eqnn::plan {

void lower(const RadialStage& op, PlanBuilder& build) {
  try {
    build.current_is_radial(build.tabulated(op));
  } catch (const Error& error) {
    fail("stage ", build.current().output, ": ", error.what());
  }
}

} // namespace eqnn::plan
