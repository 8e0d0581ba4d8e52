// SPDX-License-Identifier: BSD-3-Clause
#include "reference/couplings.hpp"
#include "reference/edges.hpp"
#include "reference/features.hpp"
#include "reference/mlp.hpp"
#include "reference/network.hpp"
#include "reference/scalar_functions.hpp"

namespace eqnn::reference {
namespace {

/// The first of the source's channels of 0e that are for the network.
std::int32_t first_scalar(const EdgeNetworkProductStage& op, const Irreps& source) {
  return source.front().channels - op.scalars;
}

/// r + s_j + t_i
std::vector<double> sum_of_edge(const EdgeNetworkProductStage& op,
                                const Network& network,
                                std::int32_t i,
                                std::int64_t e) {
  const std::int32_t j = network.edges().source[at(e)];
  const std::int32_t first = first_scalar(op, network.irreps(op.source));
  std::vector<double> sum(at(op.scalars));
  for (std::int32_t c = 0; c < op.scalars; ++c) {
    sum[at(c)] = network.value(op.radial).at(e, 0, c) +
                 network.value(op.source).at(j, 0, first + c) +
                 network.value(op.center).at(i, 0, c);
  }
  return sum;
}

std::vector<double> activated(const EdgeNetworkProductStage& op, std::vector<double> sum) {
  for (double& z : sum) {
    z = activate(op.activation, z);
  }
  return sum;
}

ValueAndSlope envelope_of(const EdgeNetworkProductStage& op, const Network& network, double r) {
  if (op.envelope == 0.0) {
    return {1.0, 0.0};
  }
  const double cutoff = network.model().cutoff;
  const ValueAndSlope u = polynomial_envelope(op.envelope, r / cutoff);
  return {u.value, u.slope / cutoff};
}

} // namespace

/// out_i[m3,c] = sum_e w_e[c] sum w3j[m1,m2,m3] source_j[m1,c] Y_m2
Value forward(const EdgeNetworkProductStage& op, Network& network) {
  const EdgeList& edges = network.edges();
  const Irreps& in = network.irreps(op.source);
  const Irreps& out = network.out_irreps();
  const Value& source = network.value(op.source);
  const Value& harmonics = network.value(op.harmonics);
  Value y = features(edges.n_centers, out);
  for_edges(edges, [&](std::int32_t i, std::int64_t e) {
    std::vector<double> w = mlp(op.layers, activated(op, sum_of_edge(op, network, i, e)));
    const double u = envelope_of(op, network, length(edge_vector(edges, e))).value;
    for (const TensorProductPath& p : op.paths) {
      for_coupling(
          p, in, out, [&](std::int32_t k1, std::int32_t k2, std::int32_t k3, double coefficient) {
            for (std::int32_t c = 0; c < p.channels; ++c) {
              y.at(i, k3, p.channel + c) += coefficient * harmonics.at(e, k2, 0) * u *
                                            w[at(p.radial + c)] *
                                            source.at(edges.source[at(e)], k1, c);
            }
          });
    }
  });
  return y;
}

void adjoint(const EdgeNetworkProductStage& op, Network& network) {
  const EdgeList& edges = network.edges();
  const Irreps& in = network.irreps(op.source);
  const Irreps& out = network.out_irreps();
  const Value& source = network.value(op.source);
  const Value& harmonics = network.value(op.harmonics);
  const Value& adj_out = network.adj_out();
  for_edges(edges, [&](std::int32_t i, std::int64_t e) {
    const std::int32_t j = edges.source[at(e)];
    const auto vector = edge_vector(edges, e);
    const double r = length(vector);
    const std::vector<double> sum = sum_of_edge(op, network, i, e);
    const std::vector<double> hidden = activated(op, sum);
    const std::vector<double> w = mlp(op.layers, hidden);
    const ValueAndSlope u = envelope_of(op, network, r);
    // dE/d(w u)
    std::vector<double> adj_w(w.size(), 0.0);
    for (const TensorProductPath& p : op.paths) {
      for_coupling(
          p, in, out, [&](std::int32_t k1, std::int32_t k2, std::int32_t k3, double coefficient) {
            const double y = harmonics.at(e, k2, 0);
            for (std::int32_t c = 0; c < p.channels; ++c) {
              const double adjoint = coefficient * adj_out.at(i, k3, p.channel + c);
              const double weight = u.value * w[at(p.radial + c)];
              const double x = source.at(j, k1, c);
              network.adjoint(op.source).at(j, k1, c) += adjoint * weight * y;
              network.adjoint(op.harmonics).at(e, k2, 0) += adjoint * weight * x;
              adj_w[at(p.radial + c)] += adjoint * y * x;
            }
          });
    }
    double adj_r = 0.0;
    for (std::size_t c = 0; c < w.size(); ++c) {
      adj_r += u.slope * w[c] * adj_w[c];
      adj_w[c] *= u.value;
    }
    for (std::size_t axis = 0; axis < 3; ++axis) {
      network.outputs().edge_gradient[at(3 * e) + axis] += adj_r * vector[axis] / r;
    }
    const std::vector<double> adj_hidden = mlp_adjoint(op.layers, hidden, adj_w);
    for (std::int32_t c = 0; c < op.scalars; ++c) {
      const double adj_sum = adj_hidden[at(c)] * activation_derivative(op.activation, sum[at(c)]);
      network.adjoint(op.radial).at(e, 0, c) += adj_sum;
      network.adjoint(op.source).at(j, 0, first_scalar(op, in) + c) += adj_sum;
      network.adjoint(op.center).at(i, 0, c) += adj_sum;
    }
  });
}

} // namespace eqnn::reference
