// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/weights.hpp"

namespace eqnn {

struct RmsNormStage {
  StageIndex features = -1;
  double eps = 0.0;
  std::vector<Tensor> scale; ///< for each block, [C]
};

} // namespace eqnn
