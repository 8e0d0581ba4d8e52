// SPDX-License-Identifier: BSD-3-Clause
#include "reference/network.hpp"

namespace eqnn::reference {

Value forward(const EnergyStage& op, Network& network) {
  Value total(network.edges().n_centers, 1, 1);
  for (std::int64_t i = 0; i < total.rows; ++i) {
    for (const StageIndex term : op.terms) {
      total.at(i, 0, 0) += network.zeroed(i) ? 0.0 : network.value(term).at(i, 0, 0);
    }
    const auto species =
        static_cast<std::size_t>(network.edges().species[static_cast<std::size_t>(i)]);
    network.outputs().energy.push_back(
        network.n_counted() * network.model().energy.scale[species] * total.at(i, 0, 0) +
        network.model().energy.shift + network.model().energy.reference[species]);
  }
  return total;
}

void adjoint(const EnergyStage& op, Network& network) {
  for (const StageIndex term : op.terms) {
    for (std::int64_t i = 0; i < network.edges().n_centers; ++i) {
      const auto species =
          static_cast<std::size_t>(network.edges().species[static_cast<std::size_t>(i)]);
      network.adjoint(term).at(i, 0, 0) +=
          network.zeroed(i) ? 0.0 : network.n_counted() * network.model().energy.scale[species];
    }
  }
}

} // namespace eqnn::reference
