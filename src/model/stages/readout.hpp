// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/weights.hpp"

namespace eqnn {

/// A limit of the engine: kernels keep the layers in an array of this length.
inline constexpr int kMostReadoutLayers = 8;

struct ReadoutStage {
  StageIndex features = -1;
  std::vector<MlpLayer> layers;
};

} // namespace eqnn
