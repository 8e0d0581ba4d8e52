// SPDX-License-Identifier: BSD-3-Clause
#include "base/units.hpp"
#include "reference/edges.hpp"
#include "reference/network.hpp"
#include "reference/scalar_functions.hpp"

#include <cmath>

namespace eqnn::reference {
namespace {

/// Energy of one directed edge at distance r (eV, half the energy of a pair) and its slope.
struct PairEnergy {
  double value = 0.0, slope = 0.0;
};

/// species: rows in the model's tables; number: atomic numbers.
PairEnergy zbl(const ZblStage& stage,
               std::int32_t species_i,
               std::int32_t species_j,
               std::int32_t number_i,
               std::int32_t number_j,
               double r) {
  const double range = stage.radius.values[at(species_i)] + stage.radius.values[at(species_j)];
  if (r >= range) {
    return {};
  }
  const double length = stage.screening_length / (std::pow(number_i, stage.screening_exponent) +
                                                  std::pow(number_j, stage.screening_exponent));
  const double prefactor = 0.5 * kCoulomb * number_i * number_j;
  double screening = 0.0;
  double slope = 0.0;
  for (std::size_t q = 0; q < stage.coefficients.size(); ++q) {
    const double term = stage.coefficients[q] * std::exp(-stage.exponents[q] * r / length);
    screening += term;
    slope -= term * stage.exponents[q] / length;
  }
  const ValueAndSlope u = polynomial_envelope(stage.p, r / range);
  return {prefactor / r * screening * u.value,
          prefactor / r * ((slope - screening / r) * u.value + screening * u.slope / range)};
}

template <class Use> void for_pairs(const ZblStage& op, const Network& network, const Use& use) {
  const auto species_of = [&](std::int32_t node) {
    return network.edges().species[static_cast<std::size_t>(node)];
  };
  const auto number_of = [&](std::int32_t node) {
    return network.model().species[static_cast<std::size_t>(species_of(node))];
  };
  for (std::int32_t i = 0; i < network.edges().n_centers; ++i) {
    for (std::int64_t e = network.edges().begin[static_cast<std::size_t>(i)];
         e < network.edges().begin[static_cast<std::size_t>(i) + 1];
         ++e) {
      const std::int32_t j = network.edges().source[static_cast<std::size_t>(e)];
      use(i,
          e,
          zbl(op,
              species_of(i),
              species_of(j),
              number_of(i),
              number_of(j),
              length(edge_vector(network.edges(), e))));
    }
  }
}

} // namespace

Value forward(const ZblStage& op, Network& network) {
  Value y(network.edges().n_centers, 1, 1);
  for_pairs(op, network, [&](std::int32_t i, std::int64_t, const PairEnergy& pair) {
    y.at(i, 0, 0) += pair.value;
  });
  return y;
}

void adjoint(const ZblStage& op, Network& network) {
  for_pairs(op, network, [&](std::int32_t i, std::int64_t e, const PairEnergy& pair) {
    const auto r = edge_vector(network.edges(), e);
    for (std::size_t a = 0; a < 3; ++a) {
      network.outputs().edge_gradient[static_cast<std::size_t>(3 * e) + a] +=
          network.adj_out().at(i, 0, 0) * pair.slope * r[a] / length(r);
    }
  });
}

} // namespace eqnn::reference
