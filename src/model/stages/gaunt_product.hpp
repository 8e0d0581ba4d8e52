// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/weights.hpp"

namespace eqnn {

struct GauntProductStage {
  StageIndex a = -1, b = -1;
  std::optional<Tensor> scale_a, scale_b, scale_out, curl; ///< [l_max + 1, C]
};

} // namespace eqnn
