// SPDX-License-Identifier: BSD-3-Clause
#include "plan/plan_builder.hpp"

namespace eqnn::plan {

/// Every readout adds to the atom's energy.
void lower(const EnergyStage&, PlanBuilder&) {}

} // namespace eqnn::plan
