// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/weights.hpp"

namespace eqnn {

struct EdgeAttentionStage {
  StageIndex source = -1, center = -1, matrix = -1, radial = -1;
  std::int32_t heads = 0;
  double negative_slope = 0.0, eps = 0.0;
  std::int32_t envelope = 0;                     ///< order of the polynomial; 0: no envelope
  Tensor logit_weight, logit_bias, logit_vector; ///< [C, C], [C], [H, C/H]
  Tensor value_weight, value_bias;               ///< [C, C], [C]
  Tensor gate_weight, gate_bias;                 ///< [C, C], [C]
};

} // namespace eqnn
