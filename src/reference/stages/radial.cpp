// SPDX-License-Identifier: BSD-3-Clause
#include "reference/stages/radial.hpp"

#include "reference/edges.hpp"
#include "reference/mlp.hpp"
#include "reference/network.hpp"
#include "reference/scalar_functions.hpp"

#include <cmath>
#include <utility>

namespace eqnn::reference {
namespace {

/// The functions g_k(r) and their slopes.
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

/// Chebyshev polynomials T_k; the slope is k U_{k-1}.
BasisSample basis_at(const ChebyshevBasis& basis, double r) {
  BasisSample sample;
  double t = r;
  double t_before = 1.0;
  double u = 1.0;
  double u_before = 0.0;
  for (std::size_t k = 0; k < basis.amplitude.values.size(); ++k) {
    const double a = basis.amplitude.values[k];
    sample.value.push_back(a * t);
    sample.slope.push_back(a * static_cast<double>(k + 1) * u);
    t_before = std::exchange(t, 2.0 * r * t - t_before);
    u_before = std::exchange(u, 2.0 * r * u - u_before);
  }
  return sample;
}

double sum_of(const Tensor& radius, std::int32_t center, std::int32_t source) {
  return radius.values[at(center)] + radius.values[at(source)];
}

/// The argument of the basis in place of r, and its derivative with respect to r.
ValueAndSlope transformed(std::monostate /*none*/, double r, std::int32_t, std::int32_t) {
  return {r, 1.0};
}

ValueAndSlope
transformed(const AgnesiTransform& of, double r, std::int32_t center, std::int32_t source) {
  const double r_0 = 0.5 * sum_of(of.radius, center, source);
  const double x = r / r_0;
  const double below = 1.0 + std::pow(x, of.q - of.p);
  const double f = of.a * std::pow(x, of.q) / below;
  const double f_slope =
      of.a * of.q * std::pow(x, of.q - 1.0) / below -
      of.a * std::pow(x, of.q) * (of.q - of.p) * std::pow(x, of.q - of.p - 1.0) / (below * below);
  const double t = 1.0 / (1.0 + f);
  return {t, -t * t * f_slope / r_0};
}

ValueAndSlope
transformed(const SoftTransform& of, double r, std::int32_t center, std::int32_t source) {
  const double r_0 = sum_of(of.radius, center, source);
  const double p_0 = 0.75 * r_0;
  const double p_1 = 4.0 / 3.0 * r_0;
  const double alpha = of.alpha / (p_1 - p_0);
  const double tanh = std::tanh(alpha * (r - 0.5 * (p_0 + p_1)));
  return {p_0 + (r - p_0) * 0.5 * (1.0 + tanh),
          0.5 * (1.0 + tanh) + (r - p_0) * 0.5 * alpha * (1.0 - tanh * tanh)};
}

ValueAndSlope
transformed(const PairCutoffs& of, double r, std::int32_t center, std::int32_t source) {
  // In units of this pair's cutoff. radial() multiplies by the largest cutoff.
  const double cutoff = weight_at(of.cutoff, center, source);
  return {r / cutoff, 1.0 / cutoff};
}

/// The layers, with the terms of both species added to the bias of the first layer.
std::vector<MlpLayer>
layers_of(const RadialStage& stage, std::int32_t center, std::int32_t source) {
  std::vector<MlpLayer> layers = stage.layers;
  MlpLayer& first = layers.front();
  const std::int64_t n = first.weight.shape[0];
  if (!first.bias) {
    first.bias = Tensor{{n}, std::vector<double>(at(n), 0.0)};
  }
  for (std::int64_t c = 0; c < n; ++c) {
    first.bias->values[at(c)] += weight_at(stage.species_terms->center, center, c) +
                                 weight_at(stage.species_terms->source, source, c);
  }
  return layers;
}

/// value *= u, by the product rule.
void multiply(const ValueAndSlope& u, std::vector<double>& value, std::vector<double>& slope) {
  for (std::size_t c = 0; c < value.size(); ++c) {
    slope[c] = slope[c] * u.value + value[c] * u.slope;
    value[c] *= u.value;
  }
}

} // namespace

RadialSample radial(
    const RadialStage& stage, double cutoff, double r, std::int32_t center, std::int32_t source) {
  ValueAndSlope x =
      std::visit([&](const auto& transform) { return transformed(transform, r, center, source); },
                 stage.transform);
  ValueAndSlope u = envelope(stage.envelope, cutoff, r);
  if (std::holds_alternative<PairCutoffs>(stage.transform)) {
    x.value *= cutoff;
    x.slope *= cutoff;
    u = x.value < cutoff ? envelope(stage.envelope, cutoff, x.value) : ValueAndSlope{};
    u.slope *= x.slope;
  }
  auto basis =
      std::visit([&](const auto& functions) { return basis_at(functions, x.value); }, stage.basis);
  for (double& slope : basis.slope) {
    slope *= x.slope;
  }
  if (stage.envelope.on_basis) {
    multiply(u, basis.value, basis.slope);
  }
  const MlpTangent y = stage.species_terms
                           ? mlp_tangent(layers_of(stage, center, source), basis.value, basis.slope)
                           : mlp_tangent(stage.layers, basis.value, basis.slope);
  RadialSample sample{y.value, y.tangent};
  if (!stage.envelope.on_basis) {
    multiply(u, sample.value, sample.derivative);
  }
  for (std::size_t c = 0; c < stage.powers.size(); ++c) {
    const double p = stage.powers[c];
    sample.derivative[c] = sample.derivative[c] * std::pow(r, p) +
                           (p > 0.0 ? sample.value[c] * p * std::pow(r, p - 1.0) : 0.0);
    sample.value[c] *= std::pow(r, p);
  }
  return sample;
}

namespace {

RadialSample
sample_of(const RadialStage& op, const Network& network, std::int32_t i, std::int64_t e) {
  const EdgeList& edges = network.edges();
  return radial(op,
                network.model().cutoff,
                length(edge_vector(edges, e)),
                species_of(edges, i),
                species_of(edges, edges.source[at(e)]));
}

} // namespace

Value forward(const RadialStage& op, Network& network) {
  Value w(
      network.edges().n_edges(), 1, static_cast<std::int32_t>(op.layers.back().weight.shape[0]));
  for_edges(network.edges(), [&](std::int32_t i, std::int64_t e) {
    const auto sample = sample_of(op, network, i, e);
    for (std::int32_t c = 0; c < w.channels; ++c) {
      w.at(e, 0, c) = sample.value[static_cast<std::size_t>(c)];
    }
  });
  return w;
}

void adjoint(const RadialStage& op, Network& network) {
  for_edges(network.edges(), [&](std::int32_t i, std::int64_t e) {
    const auto r = edge_vector(network.edges(), e);
    const auto sample = sample_of(op, network, i, e);
    double adj_r = 0.0;
    for (std::int32_t c = 0; c < network.adj_out().channels; ++c) {
      adj_r += network.adj_out().at(e, 0, c) * sample.derivative[static_cast<std::size_t>(c)];
    }
    for (std::size_t a = 0; a < 3; ++a) {
      network.outputs().edge_gradient[static_cast<std::size_t>(3 * e) + a] +=
          adj_r * r[a] / length(r);
    }
  });
}

} // namespace eqnn::reference
