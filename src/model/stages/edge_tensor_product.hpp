// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/weights.hpp"

namespace eqnn {

/// Source block x harmonics of degree l -> output block. It has the channels of the source block.
struct TensorProductPath {
  std::int32_t source = -1; ///< block
  std::int32_t l = 0;
  std::int32_t out = -1;    ///< block
  std::int32_t radial = 0;  ///< first channel of the radial function
  std::int32_t channel = 0; ///< first channel in the output's block
};

struct EdgeTensorProductStage {
  StageIndex source = -1, harmonics = -1, radial = -1;
  std::vector<TensorProductPath> paths;
};

} // namespace eqnn
