// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/weights.hpp"

namespace eqnn {

struct EquivariantNormStage {
  StageIndex features = -1;
  double eps = 0.0;
  Tensor scale; ///< [l_max + 1, C]
  Tensor shift; ///< [C]
};

} // namespace eqnn
