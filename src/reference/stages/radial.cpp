// SPDX-License-Identifier: BSD-3-Clause
#include "reference/stages/radial.hpp"

#include "reference/edges.hpp"
#include "reference/mlp.hpp"
#include "reference/network.hpp"
#include "reference/scalar_functions.hpp"

#include <cmath>

namespace eqnn::reference {
namespace {

/// g_k(r) and their slopes.
struct BasisSample {
  std::vector<double> value, slope;
};

BasisSample basis_at(const GaussianBasis& basis, double r) {
  BasisSample sample;
  for (std::size_t k = 0; k < basis.center.values.size(); ++k) {
    const double width = basis.width.values[k];
    const double t = (r - basis.center.values[k]) / width;
    sample.value.push_back(basis.amplitude.values[k] * std::exp(-0.5 * t * t));
    sample.slope.push_back(-sample.value.back() * t / width);
  }
  return sample;
}

BasisSample basis_at(const BesselBasis& basis, double r) {
  BasisSample sample;
  for (std::size_t k = 0; k < basis.frequency.values.size(); ++k) {
    const double f = basis.frequency.values[k];
    const double a = basis.amplitude.values[k];
    sample.value.push_back(a * std::sin(f * r) / r);
    sample.slope.push_back(a * (f * std::cos(f * r) - std::sin(f * r) / r) / r);
  }
  return sample;
}

/// value *= u, by the product rule.
void multiply(const ValueAndSlope& u, std::vector<double>& value, std::vector<double>& slope) {
  for (std::size_t c = 0; c < value.size(); ++c) {
    slope[c] = slope[c] * u.value + value[c] * u.slope;
    value[c] *= u.value;
  }
}

} // namespace

RadialSample radial(const RadialStage& stage, double cutoff, double r) {
  auto basis =
      std::visit([&](const auto& functions) { return basis_at(functions, r); }, stage.basis);
  const ValueAndSlope u = envelope(stage.envelope, cutoff, r);
  if (stage.envelope.on_basis) {
    multiply(u, basis.value, basis.slope);
  }
  const MlpTangent y = mlp_tangent(stage.layers, basis.value, basis.slope);
  RadialSample sample{y.value, y.tangent};
  if (!stage.envelope.on_basis) {
    multiply(u, sample.value, sample.derivative);
  }
  return sample;
}

Value forward(const RadialStage& op, Network& network) {
  Value w(
      network.edges().n_edges(), 1, static_cast<std::int32_t>(op.layers.back().weight.shape[0]));
  for (std::int64_t e = 0; e < w.rows; ++e) {
    const auto sample = radial(op, network.model().cutoff, length(edge_vector(network.edges(), e)));
    for (std::int32_t c = 0; c < w.channels; ++c) {
      w.at(e, 0, c) = sample.value[static_cast<std::size_t>(c)];
    }
  }
  return w;
}

void adjoint(const RadialStage& op, Network& network) {
  for (std::int64_t e = 0; e < network.edges().n_edges(); ++e) {
    const auto r = edge_vector(network.edges(), e);
    const auto sample = radial(op, network.model().cutoff, length(r));
    double adj_r = 0.0;
    for (std::int32_t c = 0; c < network.adj_out().channels; ++c) {
      adj_r += network.adj_out().at(e, 0, c) * sample.derivative[static_cast<std::size_t>(c)];
    }
    for (std::size_t a = 0; a < 3; ++a) {
      network.outputs().edge_gradient[static_cast<std::size_t>(3 * e) + a] +=
          adj_r * r[a] / length(r);
    }
  }
}

} // namespace eqnn::reference
