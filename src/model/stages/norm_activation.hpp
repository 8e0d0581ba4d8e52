// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/weights.hpp"

namespace eqnn {

/// Multiplies each channel of each block by a function of its own norm n over the components.
struct NormActivationStage {
  static constexpr std::array kOtherNames{"soft_normalization"};

  StageIndex features = -1;
  /// norm_activation: function(n) / n, for n of at least eps
  Activation function = Activation::None;
  double eps = 0.0;
  /// soft_normalization: 1 / (1 + u exp(-1/u)), u = n / (limit sqrt(2l+1))
  std::optional<double> limit;
};

} // namespace eqnn
