// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/weights.hpp"

namespace eqnn {

/// Leading channels of a block, which pass through a function (scalars), or are multiplied with
/// that of a gate each.
struct GatedBlock {
  std::int32_t in = -1, out = -1; ///< blocks
  std::int32_t gate = -1;         ///< block of the gates; -1: scalars
  std::int32_t channel = 0;       ///< first of the gates
  std::int32_t channels = 0;
  Activation function = Activation::None;
};

struct GateStage {
  static constexpr std::array kOtherNames{"irreps_gate"};

  StageIndex features = -1;
  StageIndex gates = -1; ///< whose channels are the gates; may be the features
  std::vector<GatedBlock> blocks;
};

} // namespace eqnn
