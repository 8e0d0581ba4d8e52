// SPDX-License-Identifier: BSD-3-Clause
#include "so3/spherical_harmonics.hpp"

#include "reference/edges.hpp"
#include "reference/network.hpp"

namespace eqnn::reference {

Value forward(const SphericalHarmonicsStage& op, Network& network) {
  Value y(network.edges().n_edges(), sphere_components(op.l_max), 1);
  for (std::int64_t e = 0; e < y.rows; ++e) {
    const auto harmonics = so3::spherical_harmonics(op.l_max, edge_vector(network.edges(), e));
    for (std::int32_t j = 0; j < y.components; ++j) {
      y.at(e, j, 0) = harmonics.value[static_cast<std::size_t>(j)];
    }
  }
  return y;
}

void adjoint(const SphericalHarmonicsStage& op, Network& network) {
  for (std::int64_t e = 0; e < network.edges().n_edges(); ++e) {
    const auto harmonics = so3::spherical_harmonics(op.l_max, edge_vector(network.edges(), e));
    for (std::size_t j = 0; j < harmonics.value.size(); ++j) {
      for (std::size_t a = 0; a < 3; ++a) {
        network.outputs().edge_gradient[static_cast<std::size_t>(3 * e) + a] +=
            network.adj_out().at(e, static_cast<std::int32_t>(j), 0) * harmonics.gradient[j][a];
      }
    }
  }
}

} // namespace eqnn::reference
