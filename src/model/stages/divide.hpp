// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/weights.hpp"

namespace eqnn {

struct DivideStage {
  StageIndex features = -1;
  StageIndex divisor = -1; ///< features with a single channel 0e
};

} // namespace eqnn
