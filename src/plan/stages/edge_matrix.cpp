// SPDX-License-Identifier: BSD-3-Clause
#include "plan/plan_builder.hpp"

namespace eqnn::plan {

/// T[k][j][i] -> T[j][i][k]
void lower(const EdgeMatrixStage& op, PlanBuilder& build) {
  Coupling coupling;
  coupling.components = static_cast<std::int32_t>(op.coupling.shape[0]);
  const auto d = static_cast<std::size_t>(coupling.components);
  coupling.values.resize(d * d * d);
  for (std::size_t k = 0; k < d; ++k) {
    for (std::size_t j = 0; j < d; ++j) {
      for (std::size_t i = 0; i < d; ++i) {
        coupling.values[(j * d + i) * d + k] = op.coupling.values[(k * d + j) * d + i];
      }
    }
  }
  build.current_is_coupling(std::move(coupling));
}

} // namespace eqnn::plan
