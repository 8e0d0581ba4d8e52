// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/weights.hpp"

namespace eqnn {

struct EnergyStage {
  std::vector<StageIndex> terms;
};

} // namespace eqnn
