// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/weights.hpp"

namespace eqnn {

struct EdgeMatrixStage {
  StageIndex harmonics = -1;
  Tensor coupling; ///< [d, d, d], T[k][j][i]
};

} // namespace eqnn
