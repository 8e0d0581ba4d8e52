// SPDX-License-Identifier: BSD-3-Clause
#include "model/uniform_stages.hpp"

namespace eqnn {

LinearStage uniform_linear(StageIndex features,
                           std::int32_t l_max,
                           const Tensor& weight,
                           const std::optional<Tensor>& bias) {
  LinearStage stage;
  stage.features = features;
  for (std::int32_t l = 0; l <= l_max; ++l) {
    stage.blocks.push_back({l, l, weight});
  }
  stage.bias = bias;
  return stage;
}

GateStage
uniform_gate(StageIndex features, StageIndex gates, std::int32_t l_max, std::int32_t channels) {
  GateStage stage;
  stage.features = features;
  stage.gates = gates;
  stage.blocks.push_back({0, 0, -1, 0, channels, Activation::Silu});
  for (std::int32_t l = 1; l <= l_max; ++l) {
    stage.blocks.push_back({l, l, 0, 0, channels, Activation::Sigmoid});
  }
  return stage;
}

} // namespace eqnn
