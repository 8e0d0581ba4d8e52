// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/weights.hpp"

namespace eqnn {

/// Leading channels of a block. A function is applied to scalars; other channels are multiplied by
/// the function of one gate each.
struct GatedBlock {
  std::int32_t in = -1, out = -1; ///< blocks
  std::int32_t gate = -1;         ///< block of the gates; -1: scalars
  std::int32_t channel = 0;       ///< first channel of the gates
  std::int32_t channels = 0;
  Activation function = Activation::None;
};

struct GateStage {
  static constexpr std::array kOtherNames{"irreps_gate"};

  StageIndex features = -1;
  StageIndex gates = -1; ///< value with the gates; may be the features
  std::vector<GatedBlock> blocks;
};

} // namespace eqnn
