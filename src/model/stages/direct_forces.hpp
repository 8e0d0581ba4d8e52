// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/weights.hpp"

namespace eqnn {

struct DirectForcesStage {
  StageIndex features = -1;
};

} // namespace eqnn
