// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/weights.hpp"

#include <vector>

namespace eqnn::reference {

/// Row of an MLP: hidden values of every layer, kept for the adjoint.
std::vector<double> mlp(const std::vector<MlpLayer>& layers, const std::vector<double>& x);
/// dE/dx for one row; recomputes the hidden values.
std::vector<double> mlp_adjoint(const std::vector<MlpLayer>& layers,
                                const std::vector<double>& x,
                                const std::vector<double>& adj_y);

/// y and J v, for a direction v in the input.
struct MlpTangent {
  std::vector<double> value, tangent;
};

MlpTangent mlp_tangent(const std::vector<MlpLayer>& layers,
                       const std::vector<double>& x,
                       const std::vector<double>& v);

} // namespace eqnn::reference
