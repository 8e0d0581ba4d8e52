// SPDX-License-Identifier: BSD-3-Clause
#include "reference/stages/edge_attention.hpp"

#include "reference/edges.hpp"
#include "reference/network.hpp"
#include "reference/scalar_functions.hpp"
#include "reference/stages/gate.hpp"
#include "reference/stages/linear.hpp"
#include "so3/spherical_harmonics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace eqnn::reference {
namespace {

/// Smooth leaky ReLU of negative slope a: (1+a)/2 x + (1-a)/2 x (2 sigmoid(x) - 1).
double slrelu(double a, double x) {
  return 0.5 * (1.0 + a) * x + 0.5 * (1.0 - a) * x * (2.0 * sigmoid(x) - 1.0);
}

double slrelu_derivative(double a, double x) {
  const double s = sigmoid(x);
  return 0.5 * (1.0 + a) + 0.5 * (1.0 - a) * ((2.0 * s - 1.0) + 2.0 * x * s * (1.0 - s));
}

/// Everything that edge_attention makes on the edges of one centre. Each Value has one row per
/// edge.
struct AttentionEdges {
  /// source + center; (M m) w; logits before slrelu; value, gate before Gate; p; M p
  Value m, u, q, v, g, p, mp;
  std::vector<double> attention; ///< [n_edges, H]
};

Value apply_matrix(const Value& matrix, std::int64_t first_edge, const Value& x, bool transposed) {
  Value y(x.rows, x.components, x.channels);
  for (std::int64_t e = 0; e < x.rows; ++e) {
    for (std::int32_t k = 0; k < x.components; ++k) {
      for (std::int32_t i = 0; i < x.components; ++i) {
        const double entry =
            transposed ? matrix.at(first_edge + e, i, k) : matrix.at(first_edge + e, k, i);
        for (std::int32_t c = 0; c < x.channels; ++c) {
          y.at(e, k, c) += entry * x.at(e, i, c);
        }
      }
    }
  }
  return y;
}

LinearStage as_linear(const Tensor& weight, const Tensor& bias, std::int32_t l_max) {
  return {-1, l_max, weight, bias};
}

AttentionEdges attention_edges(const EdgeAttentionStage& stage,
                               const EdgeList& edges,
                               std::int32_t center_index,
                               const AttentionInputs<const Value>& in) {
  const auto& [source, center, matrix, radial] = in;
  const std::int64_t begin = edges.begin[static_cast<std::size_t>(center_index)];
  const std::int64_t n = edges.begin[static_cast<std::size_t>(center_index) + 1] - begin;
  const std::int32_t d = source.components;
  const std::int32_t channels = source.channels;
  const std::int32_t head_size = channels / stage.heads;
  AttentionEdges at;
  at.m = Value(n, d, channels);
  for (std::int64_t e = 0; e < n; ++e) {
    for (std::int32_t k = 0; k < d; ++k) {
      for (std::int32_t c = 0; c < channels; ++c) {
        at.m.at(e, k, c) = source.at(edges.source[static_cast<std::size_t>(begin + e)], k, c) +
                           center.at(center_index, k, c);
      }
    }
  }
  at.u = apply_matrix(matrix, begin, at.m, false);
  for (std::int64_t e = 0; e < n; ++e) {
    for (std::int32_t k = 0; k < d; ++k) {
      for (std::int32_t c = 0; c < channels; ++c) {
        at.u.at(e, k, c) *= radial.at(begin + e, 0, c);
      }
    }
  }
  at.q = linear(as_linear(stage.logit_weight, stage.logit_bias, 0), at.u);
  at.attention.assign(static_cast<std::size_t>(n * stage.heads), 0.0);
  for (std::int32_t h = 0; h < stage.heads; ++h) {
    const auto z = [&](std::int64_t e) -> double& {
      return at.attention[static_cast<std::size_t>(e * stage.heads + h)];
    };
    double largest = -std::numeric_limits<double>::infinity();
    for (std::int64_t e = 0; e < n; ++e) {
      for (std::int32_t c = h * head_size; c < (h + 1) * head_size; ++c) {
        z(e) += stage.logit_vector.values[static_cast<std::size_t>(c)] *
                slrelu(stage.negative_slope, at.q.at(e, 0, c));
      }
      largest = std::max(largest, z(e));
    }
    double sum = stage.eps;
    for (std::int64_t e = 0; e < n; ++e) {
      z(e) = std::exp(z(e) - largest);
      sum += z(e);
    }
    for (std::int64_t e = 0; e < n; ++e) {
      z(e) /= sum;
    }
  }
  at.v = linear(as_linear(stage.value_weight, stage.value_bias, degree_of(d - 1)), at.u);
  at.g = linear(as_linear(stage.gate_weight, stage.gate_bias, 0), at.u);
  at.p = gate(at.v, at.g);
  at.mp = apply_matrix(matrix, begin, at.p, false);
  return at;
}

} // namespace

Value edge_attention(const EdgeAttentionStage& stage,
                     const EdgeList& edges,
                     const AttentionInputs<const Value>& in) {
  const auto& [source, center, matrix, radial] = in;
  Value out(edges.n_centers, source.components, source.channels);
  const std::int32_t head_size = source.channels / stage.heads;
  for (std::int32_t i = 0; i < edges.n_centers; ++i) {
    const std::int64_t begin = edges.begin[static_cast<std::size_t>(i)];
    const AttentionEdges at = attention_edges(stage, edges, i, in);
    for (std::int64_t e = 0; e < at.m.rows; ++e) {
      for (std::int32_t k = 0; k < out.components; ++k) {
        for (std::int32_t c = 0; c < out.channels; ++c) {
          const double attention =
              at.attention[static_cast<std::size_t>(e * stage.heads + c / head_size)];
          out.at(i, k, c) += attention * at.mp.at(e, k, c) * radial.at(begin + e, 0, c);
        }
      }
    }
  }
  return out;
}

void edge_attention_adjoint(const EdgeAttentionStage& stage,
                            const EdgeList& edges,
                            const AttentionInputs<const Value>& in,
                            const Value& adj_out,
                            const AttentionInputs<Value>& adjoints) {
  const auto& [source, center, matrix, radial] = in;
  const auto& [adj_source, adj_center, adj_matrix, adj_radial] = adjoints;
  const std::int32_t d = source.components;
  const std::int32_t channels = source.channels;
  const std::int32_t head_size = channels / stage.heads;
  for (std::int32_t i = 0; i < edges.n_centers; ++i) {
    const std::int64_t begin = edges.begin[static_cast<std::size_t>(i)];
    const AttentionEdges at = attention_edges(stage, edges, i, in);
    const std::int64_t n = at.m.rows;
    const auto attention = [&](std::int64_t e, std::int32_t c) {
      return at.attention[static_cast<std::size_t>(e * stage.heads + c / head_size)];
    };
    const auto outer =
        [&](std::int64_t e, std::int32_t k, std::int32_t c, const Value& x, double adj) {
          for (std::int32_t j = 0; j < d; ++j) { // y[k] += M[k,j] x[j]
            adj_matrix.at(begin + e, k, j) += adj * x.at(e, j, c);
          }
        };

    // message t = M p w, output = sum of attention t
    std::vector<double> adj_attention(static_cast<std::size_t>(n * stage.heads), 0.0);
    Value adj_mp(n, d, channels);
    for (std::int64_t e = 0; e < n; ++e) {
      for (std::int32_t k = 0; k < d; ++k) {
        for (std::int32_t c = 0; c < channels; ++c) {
          const double w = radial.at(begin + e, 0, c);
          const double adj_t = adj_out.at(i, k, c) * attention(e, c);
          adj_attention[static_cast<std::size_t>(e * stage.heads + c / head_size)] +=
              adj_out.at(i, k, c) * at.mp.at(e, k, c) * w;
          adj_radial.at(begin + e, 0, c) += adj_t * at.mp.at(e, k, c);
          adj_mp.at(e, k, c) = adj_t * w;
          outer(e, k, c, at.p, adj_mp.at(e, k, c));
        }
      }
    }
    // p = gate(value, gate)
    const Value adj_p = apply_matrix(matrix, begin, adj_mp, true);
    Value adj_v(n, d, channels);
    Value adj_g(n, 1, channels);
    gate_adjoint(at.v, at.g, adj_p, adj_v, adj_g);
    // softmax and logits
    Value adj_q(n, 1, channels);
    for (std::int32_t h = 0; h < stage.heads; ++h) {
      double mean = 0.0;
      for (std::int64_t e = 0; e < n; ++e) {
        mean += at.attention[static_cast<std::size_t>(e * stage.heads + h)] *
                adj_attention[static_cast<std::size_t>(e * stage.heads + h)];
      }
      for (std::int64_t e = 0; e < n; ++e) {
        const auto eh = static_cast<std::size_t>(e * stage.heads + h);
        const double adj_z = at.attention[eh] * (adj_attention[eh] - mean);
        for (std::int32_t c = h * head_size; c < (h + 1) * head_size; ++c) {
          adj_q.at(e, 0, c) = adj_z * stage.logit_vector.values[static_cast<std::size_t>(c)] *
                              slrelu_derivative(stage.negative_slope, at.q.at(e, 0, c));
        }
      }
    }
    // u = M m w
    Value adj_u(n, d, channels);
    linear_adjoint(as_linear(stage.value_weight, stage.value_bias, degree_of(d - 1)), adj_v, adj_u);
    linear_adjoint(as_linear(stage.gate_weight, stage.gate_bias, 0), adj_g, adj_u);
    linear_adjoint(as_linear(stage.logit_weight, stage.logit_bias, 0), adj_q, adj_u);
    const Value mm = apply_matrix(matrix, begin, at.m, false);
    for (std::int64_t e = 0; e < n; ++e) {
      for (std::int32_t k = 0; k < d; ++k) {
        for (std::int32_t c = 0; c < channels; ++c) {
          adj_radial.at(begin + e, 0, c) += adj_u.at(e, k, c) * mm.at(e, k, c);
          adj_u.at(e, k, c) *= radial.at(begin + e, 0, c);
          outer(e, k, c, at.m, adj_u.at(e, k, c));
        }
      }
    }
    // m = source + center
    const Value adj_m = apply_matrix(matrix, begin, adj_u, true);
    for (std::int64_t e = 0; e < n; ++e) {
      for (std::int32_t k = 0; k < d; ++k) {
        for (std::int32_t c = 0; c < channels; ++c) {
          adj_source.at(edges.source[static_cast<std::size_t>(begin + e)], k, c) +=
              adj_m.at(e, k, c);
          adj_center.at(i, k, c) += adj_m.at(e, k, c);
        }
      }
    }
  }
}

Value forward(const EdgeAttentionStage& op, Network& network) {
  return edge_attention(op,
                        network.edges(),
                        {network.value(op.source),
                         network.value(op.center),
                         network.value(op.matrix),
                         network.value(op.radial)});
}

void adjoint(const EdgeAttentionStage& op, Network& network) {
  edge_attention_adjoint(op,
                         network.edges(),
                         {network.value(op.source),
                          network.value(op.center),
                          network.value(op.matrix),
                          network.value(op.radial)},
                         network.adj_out(),
                         {network.adjoint(op.source),
                          network.adjoint(op.center),
                          network.adjoint(op.matrix),
                          network.adjoint(op.radial)});
}

} // namespace eqnn::reference
