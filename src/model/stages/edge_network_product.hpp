// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/weights.hpp"

namespace eqnn {

/// A limit of the engine: kernels keep the layers in an array of this length.
inline constexpr int kMostNetworkLayers = 8;

struct EdgeNetworkProductStage {
  StageIndex source = -1, center = -1, harmonics = -1, radial = -1;
  std::int32_t scalars = 0; ///< H: channels of the center, the last ones of the source's block 0e
  Activation activation = Activation::None; ///< of the sum
  std::vector<MlpLayer> layers;
  std::vector<TensorProductPath> paths;
  double envelope = 0.0; ///< exponent of the polynomial; 0: no envelope
};

} // namespace eqnn
