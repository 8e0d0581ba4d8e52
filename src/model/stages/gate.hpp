// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/weights.hpp"

namespace eqnn {

struct GateStage {
  StageIndex features = -1, gates = -1;
};

} // namespace eqnn
