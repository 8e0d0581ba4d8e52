// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/weights.hpp"

namespace eqnn {

struct ReadoutStage {
  StageIndex features = -1;
  std::vector<MlpLayer> layers;
};

} // namespace eqnn
