// SPDX-License-Identifier: BSD-3-Clause
#include "plan/stages/readout.hpp"

#include "plan/functions.hpp"
#include "plan/plan_builder.hpp"

namespace eqnn::plan {

std::string Readout::describe(const ValueNames& names) const {
  return "energy += readout of " + names.in(in);
}

void lower(const ReadoutStage& op, PlanBuilder& build) {
  Readout readout;
  readout.in = build.input(op.features);
  for (const auto& layer : op.layers) {
    Dense dense;
    dense.n_out = static_cast<std::int32_t>(layer.weight.shape[0]);
    dense.n_in = static_cast<std::int32_t>(layer.weight.shape[1]);
    dense.weight = layer.weight.values;
    dense.bias = layer.bias ? layer.bias->values
                            : std::vector<double>(static_cast<std::size_t>(dense.n_out), 0.0);
    dense.function = function_of(layer.activation);
    readout.layers.push_back(std::move(dense));
  }
  build.add(std::move(readout));
}

} // namespace eqnn::plan
