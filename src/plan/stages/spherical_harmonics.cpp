// SPDX-License-Identifier: BSD-3-Clause
#include "plan/plan_builder.hpp"

namespace eqnn::plan {

/// Recomputed from the edge vector wherever needed.
void lower(const SphericalHarmonicsStage&, PlanBuilder&) {}

} // namespace eqnn::plan
