// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/weights.hpp"

namespace eqnn {

struct GauntConvolutionStage {
  StageIndex source = -1, harmonics = -1, radial = -1;
};

} // namespace eqnn
