// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/weights.hpp"

namespace eqnn {

struct LinearStage {
  StageIndex features = -1;
  std::int32_t l_max = 0;     ///< of the output
  Tensor weight;              ///< [C_out, C_in]
  std::optional<Tensor> bias; ///< [C_out], l = 0 only
};

} // namespace eqnn
