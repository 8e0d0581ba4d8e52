// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/weights.hpp"

#include <vector>

namespace eqnn::reference {

/// The output of an MLP for one row.
std::vector<double> mlp(const std::vector<MlpLayer>& layers, const std::vector<double>& x);
/// dE/dx for one row; recomputes the hidden values.
std::vector<double> mlp_adjoint(const std::vector<MlpLayer>& layers,
                                const std::vector<double>& x,
                                const std::vector<double>& adj_y);

/// Output y and J v, for a direction v of the input.
struct MlpTangent {
  std::vector<double> value, tangent;
};

MlpTangent mlp_tangent(const std::vector<MlpLayer>& layers,
                       const std::vector<double>& x,
                       const std::vector<double>& v);

} // namespace eqnn::reference
