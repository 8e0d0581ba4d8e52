// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/weights.hpp"

namespace eqnn {

struct EdgeTensorProductStage {
  StageIndex source = -1, harmonics = -1, radial = -1;
  std::vector<TensorProductPath> paths;
};

} // namespace eqnn
