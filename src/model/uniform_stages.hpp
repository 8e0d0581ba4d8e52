// SPDX-License-Identifier: BSD-3-Clause
// Expresses operations on uniform features (the same number of channels for each degree) as stages
// on blocks. This defines `linear` and `gate` of a model file.
#pragma once

#include "model/stages/gate.hpp"
#include "model/stages/linear.hpp"

namespace eqnn {

/// Maps all degrees 0..l_max by one matrix [C_out, C_in], with a bias [C_out] on l = 0.
LinearStage uniform_linear(StageIndex features,
                           std::int32_t l_max,
                           const Tensor& weight,
                           const std::optional<Tensor>& bias);

/// l = 0: silu. Degrees 1..l_max: multiplied by the sigmoid of the same channel of `gates`.
GateStage
uniform_gate(StageIndex features, StageIndex gates, std::int32_t l_max, std::int32_t channels);

} // namespace eqnn
