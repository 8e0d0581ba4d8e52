// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/weights.hpp"

namespace eqnn {

struct DegreeEmbeddingStage {
  StageIndex matrix = -1, radial = -1;
  Tensor weight; ///< [C_out, C]
  Tensor bias;   ///< [C_out]
};

} // namespace eqnn
