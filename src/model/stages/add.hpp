// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/weights.hpp"

namespace eqnn {

struct AddStage {
  StageIndex a = -1, b = -1;
};

} // namespace eqnn
