// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/weights.hpp"

namespace eqnn {

struct IrrepsGateStage {
  StageIndex features = -1;
  std::int32_t even_scalars = 0, odd_scalars = 0; ///< leading channels of 0e and 0o
  Activation even_activation = Activation::None, odd_activation = Activation::None;
  Activation gate_activation = Activation::None;
  bool odd_gates = false; ///< gates are channels of 0o, else of 0e
};

} // namespace eqnn
