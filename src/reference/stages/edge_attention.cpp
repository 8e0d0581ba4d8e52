// SPDX-License-Identifier: BSD-3-Clause
#include "reference/stages/edge_attention.hpp"

#include "reference/edges.hpp"
#include "reference/network.hpp"
#include "reference/scalar_functions.hpp"
#include "so3/spherical_harmonics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace eqnn::reference {
namespace {

/// Smooth leaky ReLU with negative slope a: (1+a)/2 x + (1-a)/2 x (2 sigmoid(x) - 1).
double slrelu(double a, double x) {
  return 0.5 * (1.0 + a) * x + 0.5 * (1.0 - a) * x * (2.0 * sigmoid(x) - 1.0);
}

double slrelu_derivative(double a, double x) {
  const double s = sigmoid(x);
  return 0.5 * (1.0 + a) + 0.5 * (1.0 - a) * ((2.0 * s - 1.0) + 2.0 * x * s * (1.0 - s));
}

/// All intermediate values of edge_attention on the edges of one center. Each Value has one row per
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

/// A matrix [C_out, C_in] and a bias for l = 0, for the components of degrees up to l_max.
struct DenseMap {
  const Tensor& weight;
  const Tensor& bias;
  std::int32_t l_max;
};

Value dense(const DenseMap& map, const Value& x) {
  const auto n_out = static_cast<std::int32_t>(map.weight.shape[0]);
  Value y(x.rows, (map.l_max + 1) * (map.l_max + 1), n_out);
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for (std::int32_t lm = 0; lm < y.components; ++lm) {
      for (std::int32_t o = 0; o < n_out; ++o) {
        double sum = lm == 0 ? bias_at(map.bias, o) : 0.0;
        for (std::int32_t c = 0; c < x.channels; ++c) {
          sum += weight_at(map.weight, o, c) * x.at(i, lm, c);
        }
        y.at(i, lm, o) = sum;
      }
    }
  }
  return y;
}

void dense_adjoint(const DenseMap& map, const Value& adj_out, Value& adj_x) {
  for (std::int64_t i = 0; i < adj_out.rows; ++i) {
    for (std::int32_t lm = 0; lm < adj_out.components; ++lm) {
      for (std::int32_t o = 0; o < adj_out.channels; ++o) {
        for (std::int32_t c = 0; c < adj_x.channels; ++c) {
          adj_x.at(i, lm, c) += weight_at(map.weight, o, c) * adj_out.at(i, lm, o);
        }
      }
    }
  }
}

/// l = 0: silu(x), l > 0: x sigmoid(gate)
Value gated(const Value& x, const Value& gates) {
  Value y(x.rows, x.components, x.channels);
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for (std::int32_t c = 0; c < x.channels; ++c) {
      y.at(i, 0, c) = silu(x.at(i, 0, c));
      for (std::int32_t lm = 1; lm < x.components; ++lm) {
        y.at(i, lm, c) = x.at(i, lm, c) * sigmoid(gates.at(i, 0, c));
      }
    }
  }
  return y;
}

void gated_adjoint(
    const Value& x, const Value& gates, const Value& adj_out, Value& adj_x, Value& adj_gates) {
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for (std::int32_t c = 0; c < x.channels; ++c) {
      const double g = sigmoid(gates.at(i, 0, c));
      adj_x.at(i, 0, c) += adj_out.at(i, 0, c) * silu_derivative(x.at(i, 0, c));
      for (std::int32_t lm = 1; lm < x.components; ++lm) {
        adj_x.at(i, lm, c) += adj_out.at(i, lm, c) * g;
        adj_gates.at(i, 0, c) += adj_out.at(i, lm, c) * x.at(i, lm, c) * g * (1.0 - g);
      }
    }
  }
}

AttentionEdges attention_edges(const EdgeAttentionStage& stage,
                               const EdgeList& edges,
                               const LogEnvelope& envelope,
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
  at.q = dense({stage.logit_weight, stage.logit_bias, 0}, at.u);
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
      z(e) += envelope.empty() ? 0.0 : envelope[static_cast<std::size_t>(begin + e)];
      largest = std::max(largest, z(e));
    }
    // If all neighbors are at the cutoff, radial functions multiply these weights by zero.
    const bool all_faded = std::isinf(largest);
    double sum = stage.eps;
    for (std::int64_t e = 0; e < n; ++e) {
      z(e) = all_faded ? 1.0 : std::exp(z(e) - largest);
      sum += z(e);
    }
    for (std::int64_t e = 0; e < n; ++e) {
      z(e) /= sum;
    }
  }
  at.v = dense({stage.value_weight, stage.value_bias, degree_of(d - 1)}, at.u);
  at.g = dense({stage.gate_weight, stage.gate_bias, 0}, at.u);
  at.p = gated(at.v, at.g);
  at.mp = apply_matrix(matrix, begin, at.p, false);
  return at;
}

/// dE/d(logits before slrelu), from dE/d(attention) [n_edges, H]. The logarithm of the envelope is
/// added to the logits of all heads. Its adjoint is added to adj_envelope [n_edges].
Value softmax_adjoint(const EdgeAttentionStage& stage,
                      const AttentionEdges& at,
                      const std::vector<double>& adj_attention,
                      double* adj_envelope) {
  const std::int64_t n = at.m.rows;
  const std::int32_t channels = at.m.channels;
  const std::int32_t head_size = channels / stage.heads;
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
      adj_envelope[e] += adj_z;
      for (std::int32_t c = h * head_size; c < (h + 1) * head_size; ++c) {
        adj_q.at(e, 0, c) = adj_z * stage.logit_vector.values[static_cast<std::size_t>(c)] *
                            slrelu_derivative(stage.negative_slope, at.q.at(e, 0, c));
      }
    }
  }
  return adj_q;
}

/// Adjoint of m = source + center.
void give_messages(const EdgeList& edges,
                   std::int32_t center,
                   const Value& adj_m,
                   const AttentionInputs<Value>& adjoints) {
  const std::int64_t begin = edges.begin[static_cast<std::size_t>(center)];
  for (std::int64_t e = 0; e < adj_m.rows; ++e) {
    const std::int32_t source = edges.source[static_cast<std::size_t>(begin + e)];
    for (std::int32_t k = 0; k < adj_m.components; ++k) {
      for (std::int32_t c = 0; c < adj_m.channels; ++c) {
        adjoints.source.at(source, k, c) += adj_m.at(e, k, c);
        adjoints.center.at(center, k, c) += adj_m.at(e, k, c);
      }
    }
  }
}

/// Adjoint of u = M m w: adds to the adjoints of w and M, and turns adj_u into the adjoint of M m.
void message_products_adjoint(const AttentionEdges& at,
                              std::int64_t begin,
                              const AttentionInputs<const Value>& in,
                              Value& adj_u,
                              const AttentionInputs<Value>& adjoints) {
  const Value mm = apply_matrix(in.matrix, begin, at.m, false);
  for (std::int64_t e = 0; e < adj_u.rows; ++e) {
    for (std::int32_t k = 0; k < adj_u.components; ++k) {
      for (std::int32_t c = 0; c < adj_u.channels; ++c) {
        adjoints.radial.at(begin + e, 0, c) += adj_u.at(e, k, c) * mm.at(e, k, c);
        adj_u.at(e, k, c) *= in.radial.at(begin + e, 0, c);
        for (std::int32_t j = 0; j < adj_u.components; ++j) {
          adjoints.matrix.at(begin + e, k, j) += adj_u.at(e, k, c) * at.m.at(e, j, c);
        }
      }
    }
  }
}

} // namespace

Value edge_attention(const EdgeAttentionStage& stage,
                     const EdgeList& edges,
                     const LogEnvelope& envelope,
                     const AttentionInputs<const Value>& in) {
  const auto& [source, center, matrix, radial] = in;
  Value out(edges.n_centers, source.components, source.channels);
  const std::int32_t head_size = source.channels / stage.heads;
  for (std::int32_t i = 0; i < edges.n_centers; ++i) {
    const std::int64_t begin = edges.begin[static_cast<std::size_t>(i)];
    const AttentionEdges at = attention_edges(stage, edges, envelope, i, in);
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

LogEnvelope edge_attention_adjoint(const EdgeAttentionStage& stage,
                                   const EdgeList& edges,
                                   const LogEnvelope& envelope,
                                   const AttentionInputs<const Value>& in,
                                   const Value& adj_out,
                                   const AttentionInputs<Value>& adjoints) {
  LogEnvelope adj_envelope(static_cast<std::size_t>(edges.n_edges()), 0.0);
  const Value& radial = in.radial;
  const std::int32_t d = in.source.components;
  const std::int32_t channels = in.source.channels;
  const std::int32_t head_size = channels / stage.heads;
  for (std::int32_t i = 0; i < edges.n_centers; ++i) {
    const std::int64_t begin = edges.begin[static_cast<std::size_t>(i)];
    const AttentionEdges at = attention_edges(stage, edges, envelope, i, in);
    const std::int64_t n = at.m.rows;
    const auto attention = [&](std::int64_t e, std::int32_t c) {
      return at.attention[static_cast<std::size_t>(e * stage.heads + c / head_size)];
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
          adjoints.radial.at(begin + e, 0, c) += adj_t * at.mp.at(e, k, c);
          adj_mp.at(e, k, c) = adj_t * w;
          for (std::int32_t j = 0; j < d; ++j) { // (M p)[k] = sum_j M[k,j] p[j]
            adjoints.matrix.at(begin + e, k, j) += adj_mp.at(e, k, c) * at.p.at(e, j, c);
          }
        }
      }
    }
    // p = gate(value, gate)
    const Value adj_p = apply_matrix(in.matrix, begin, adj_mp, true);
    Value adj_v(n, d, channels);
    Value adj_g(n, 1, channels);
    gated_adjoint(at.v, at.g, adj_p, adj_v, adj_g);
    const Value adj_q = softmax_adjoint(stage, at, adj_attention, adj_envelope.data() + begin);
    // u = M m w
    Value adj_u(n, d, channels);
    dense_adjoint({stage.value_weight, stage.value_bias, degree_of(d - 1)}, adj_v, adj_u);
    dense_adjoint({stage.gate_weight, stage.gate_bias, 0}, adj_g, adj_u);
    dense_adjoint({stage.logit_weight, stage.logit_bias, 0}, adj_q, adj_u);
    message_products_adjoint(at, begin, in, adj_u, adjoints);
    give_messages(edges, i, apply_matrix(in.matrix, begin, adj_u, true), adjoints);
  }
  return adj_envelope;
}

namespace {

/// DimeNet's polynomial of order p at x = r/cutoff. Its three zeros at x = 1 are factored out, so
/// that no digits cancel there. The slope is d/dx.
ValueAndSlope fading(std::int32_t p, double x) {
  double rest = 0.0;
  for (std::int32_t k = 0; k < p; ++k) {
    rest += 0.5 * (k + 1.0) * (k + 2.0) * std::pow(x, k);
  }
  return {std::pow(1.0 - x, 3.0) * rest, polynomial_envelope(p, x).slope};
}

LogEnvelope log_envelope(const EdgeAttentionStage& op, const Network& network) {
  LogEnvelope envelope;
  for (std::int64_t e = 0; op.envelope > 0 && e < network.edges().n_edges(); ++e) {
    const double x = length(edge_vector(network.edges(), e)) / network.model().cutoff;
    envelope.push_back(x < 1.0 ? std::log(fading(op.envelope, x).value)
                               : -std::numeric_limits<double>::infinity());
  }
  return envelope;
}

} // namespace

Value forward(const EdgeAttentionStage& op, Network& network) {
  return edge_attention(op,
                        network.edges(),
                        log_envelope(op, network),
                        {network.value(op.source),
                         network.value(op.center),
                         network.value(op.matrix),
                         network.value(op.radial)});
}

void adjoint(const EdgeAttentionStage& op, Network& network) {
  const LogEnvelope envelope = log_envelope(op, network);
  const LogEnvelope adj_envelope = edge_attention_adjoint(op,
                                                          network.edges(),
                                                          envelope,
                                                          {network.value(op.source),
                                                           network.value(op.center),
                                                           network.value(op.matrix),
                                                           network.value(op.radial)},
                                                          network.adj_out(),
                                                          {network.adjoint(op.source),
                                                           network.adjoint(op.center),
                                                           network.adjoint(op.matrix),
                                                           network.adjoint(op.radial)});
  const double cutoff = network.model().cutoff;
  for (std::size_t e = 0; e < envelope.size(); ++e) {
    const auto vector = edge_vector(network.edges(), static_cast<std::int64_t>(e));
    const double r = length(vector);
    if (r < cutoff) {
      const ValueAndSlope u = fading(op.envelope, r / cutoff);
      for (std::size_t axis = 0; axis < 3; ++axis) {
        network.outputs().edge_gradient[3 * e + axis] +=
            adj_envelope[e] * u.slope / (u.value * cutoff) * vector[axis] / r;
      }
    }
  }
}

} // namespace eqnn::reference
