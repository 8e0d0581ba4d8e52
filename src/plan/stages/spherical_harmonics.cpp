// SPDX-License-Identifier: BSD-3-Clause
#include "plan/plan_builder.hpp"

namespace eqnn::plan {

/// Nothing to do: harmonics are recomputed from the edge vector where needed.
void lower(const SphericalHarmonicsStage&, PlanBuilder&) {}

} // namespace eqnn::plan
