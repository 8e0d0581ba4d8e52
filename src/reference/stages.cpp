// SPDX-License-Identifier: BSD-3-Clause
#include "reference/stages.hpp"

#include "reference/scalar_functions.hpp"

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

double weight_at(const Tensor& weight, std::int64_t out, std::int64_t in) {
  return weight.values[static_cast<std::size_t>(out * weight.shape[1] + in)];
}

double bias_at(const Tensor& bias, std::int64_t c) {
  return bias.values[static_cast<std::size_t>(c)];
}

std::int32_t degree_of(std::int32_t component) {
  return static_cast<std::int32_t>(std::sqrt(static_cast<double>(component) + 0.5));
}

double dot_row(const Tensor& weight, std::int64_t out, const std::vector<double>& x) {
  double sum = 0.0;
  for (std::size_t k = 0; k < x.size(); ++k) {
    sum += weight_at(weight, out, static_cast<std::int64_t>(k)) * x[k];
  }
  return sum;
}

/// What one MLP layer makes of x, in steps.
struct LayerState {
  std::vector<double> normalized; ///< (linear - mean) / deviation; empty without layer norm
  double inverse_deviation = 0.0;
  std::vector<double> pre_activation, output;
};

LayerState apply_layer(const MlpLayer& layer, const std::vector<double>& x) {
  LayerState state;
  const auto n_out = static_cast<std::size_t>(layer.weight.shape[0]);
  std::vector<double> z(n_out);
  for (std::size_t o = 0; o < n_out; ++o) {
    z[o] = dot_row(layer.weight, static_cast<std::int64_t>(o), x) +
           (layer.bias ? layer.bias->values[o] : 0.0);
  }
  if (layer.layer_norm) {
    double mean = 0.0;
    double variance = 0.0;
    for (const double v : z) {
      mean += v / static_cast<double>(n_out);
    }
    for (const double v : z) {
      variance += (v - mean) * (v - mean) / static_cast<double>(n_out);
    }
    state.inverse_deviation = 1.0 / std::sqrt(variance + layer.layer_norm->eps);
    state.normalized.resize(n_out);
    for (std::size_t o = 0; o < n_out; ++o) {
      state.normalized[o] = (z[o] - mean) * state.inverse_deviation;
      z[o] = state.normalized[o] * layer.layer_norm->scale.values[o] +
             layer.layer_norm->shift.values[o];
    }
  }
  state.pre_activation = z;
  state.output.resize(n_out);
  for (std::size_t o = 0; o < n_out; ++o) {
    state.output[o] = activate(layer.activation, z[o]);
  }
  return state;
}

std::vector<LayerState> mlp_states(const std::vector<MlpLayer>& layers,
                                   const std::vector<double>& x) {
  std::vector<LayerState> states;
  states.reserve(layers.size());
  for (const auto& layer : layers) {
    states.push_back(apply_layer(layer, states.empty() ? x : states.back().output));
  }
  return states;
}

/// J v of one layer, for a direction v in its input.
std::vector<double>
layer_tangent(const MlpLayer& layer, const LayerState& state, const std::vector<double>& v) {
  const std::size_t n_out = state.output.size();
  std::vector<double> t(n_out);
  for (std::size_t o = 0; o < n_out; ++o) {
    t[o] = dot_row(layer.weight, static_cast<std::int64_t>(o), v);
  }
  if (layer.layer_norm) {
    double mean = 0.0;
    double projection = 0.0;
    for (std::size_t o = 0; o < n_out; ++o) {
      mean += t[o] / static_cast<double>(n_out);
      projection += t[o] * state.normalized[o] / static_cast<double>(n_out);
    }
    for (std::size_t o = 0; o < n_out; ++o) {
      t[o] = (t[o] - mean - projection * state.normalized[o]) * state.inverse_deviation *
             layer.layer_norm->scale.values[o];
    }
  }
  for (std::size_t o = 0; o < n_out; ++o) {
    t[o] *= activation_derivative(layer.activation, state.pre_activation[o]);
  }
  return t;
}

/// J^T w of one layer.
std::vector<double>
layer_adjoint(const MlpLayer& layer, const LayerState& state, std::vector<double> w) {
  const std::size_t n_out = state.output.size();
  for (std::size_t o = 0; o < n_out; ++o) {
    w[o] *= activation_derivative(layer.activation, state.pre_activation[o]);
  }
  if (layer.layer_norm) {
    double mean = 0.0;
    double projection = 0.0;
    for (std::size_t o = 0; o < n_out; ++o) {
      w[o] *= layer.layer_norm->scale.values[o];
      mean += w[o] / static_cast<double>(n_out);
      projection += w[o] * state.normalized[o] / static_cast<double>(n_out);
    }
    for (std::size_t o = 0; o < n_out; ++o) {
      w[o] = (w[o] - mean - projection * state.normalized[o]) * state.inverse_deviation;
    }
  }
  std::vector<double> adj_x(static_cast<std::size_t>(layer.weight.shape[1]), 0.0);
  for (std::size_t o = 0; o < n_out; ++o) {
    for (std::size_t k = 0; k < adj_x.size(); ++k) {
      adj_x[k] +=
          weight_at(layer.weight, static_cast<std::int64_t>(o), static_cast<std::int64_t>(k)) *
          w[o];
    }
  }
  return adj_x;
}

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

std::vector<double> mlp(const std::vector<MlpLayer>& layers, const std::vector<double>& x) {
  return mlp_states(layers, x).back().output;
}

std::vector<double> mlp_adjoint(const std::vector<MlpLayer>& layers,
                                const std::vector<double>& x,
                                const std::vector<double>& adj_y) {
  const auto states = mlp_states(layers, x);
  std::vector<double> adjoint = adj_y;
  for (std::size_t k = layers.size(); k-- > 0;) {
    adjoint = layer_adjoint(layers[k], states[k], adjoint);
  }
  return adjoint;
}

RadialSample radial(const RadialStage& stage, double cutoff, double r) {
  auto basis =
      std::visit([&](const auto& functions) { return basis_at(functions, r); }, stage.basis);
  const ValueAndSlope u = envelope(stage.envelope, cutoff, r);
  if (stage.envelope.on_basis) {
    multiply(u, basis.value, basis.slope);
  }
  const auto states = mlp_states(stage.layers, basis.value);
  RadialSample sample{states.back().output, basis.slope};
  for (std::size_t k = 0; k < states.size(); ++k) {
    sample.derivative = layer_tangent(stage.layers[k], states[k], sample.derivative);
  }
  if (!stage.envelope.on_basis) {
    multiply(u, sample.value, sample.derivative);
  }
  return sample;
}

// ---- edge matrix: M[k,i] = sum_j T[k][j][i] Y_j ----

Value edge_matrix(const EdgeMatrixStage& stage, const Value& harmonics) {
  const std::int32_t d = harmonics.components;
  Value matrix(harmonics.rows, d, d);
  for (std::int64_t e = 0; e < harmonics.rows; ++e) {
    for (std::int32_t k = 0; k < d; ++k) {
      for (std::int32_t j = 0; j < d; ++j) {
        for (std::int32_t i = 0; i < d; ++i) {
          matrix.at(e, k, i) +=
              stage.coupling.values[static_cast<std::size_t>((k * d + j) * d + i)] *
              harmonics.at(e, j, 0);
        }
      }
    }
  }
  return matrix;
}

void edge_matrix_adjoint(const EdgeMatrixStage& stage,
                         const Value& adj_matrix,
                         Value& adj_harmonics) {
  const std::int32_t d = adj_matrix.components;
  for (std::int64_t e = 0; e < adj_matrix.rows; ++e) {
    for (std::int32_t k = 0; k < d; ++k) {
      for (std::int32_t j = 0; j < d; ++j) {
        for (std::int32_t i = 0; i < d; ++i) {
          adj_harmonics.at(e, j, 0) +=
              stage.coupling.values[static_cast<std::size_t>((k * d + j) * d + i)] *
              adj_matrix.at(e, k, i);
        }
      }
    }
  }
}

// ---- embeddings ----

Value species_embedding(const SpeciesEmbeddingStage& stage, const EdgeList& edges) {
  const auto channels = static_cast<std::int32_t>(stage.table.shape[1]);
  Value x(edges.n_centers, (stage.l_max + 1) * (stage.l_max + 1), channels);
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for (std::int32_t c = 0; c < channels; ++c) {
      x.at(i, 0, c) = weight_at(stage.table, edges.species[static_cast<std::size_t>(i)], c);
    }
  }
  return x;
}

Value degree_embedding(const DegreeEmbeddingStage& stage,
                       const EdgeList& edges,
                       const Value& matrix,
                       const Value& radial) {
  const auto n_out = static_cast<std::int32_t>(stage.weight.shape[0]);
  Value out(edges.n_centers, matrix.components, n_out);
  for (std::int32_t i = 0; i < edges.n_centers; ++i) {
    for (std::int64_t e = edges.begin[static_cast<std::size_t>(i)];
         e < edges.begin[static_cast<std::size_t>(i) + 1];
         ++e) {
      for (std::int32_t o = 0; o < n_out; ++o) {
        double mixed = 0.0;
        for (std::int32_t c = 0; c < radial.channels; ++c) {
          mixed += weight_at(stage.weight, o, c) * radial.at(e, 0, c);
        }
        for (std::int32_t k = 0; k < matrix.components; ++k) {
          out.at(i, k, o) += matrix.at(e, k, 0) * mixed;
        }
        out.at(i, 0, o) += bias_at(stage.bias, o);
      }
    }
  }
  return out;
}

void degree_embedding_adjoint(const DegreeEmbeddingStage& stage,
                              const EdgeList& edges,
                              const Value& matrix,
                              const Value& radial,
                              const Value& adj_out,
                              Value& adj_matrix,
                              Value& adj_radial) {
  const auto n_out = static_cast<std::int32_t>(stage.weight.shape[0]);
  for (std::int32_t i = 0; i < edges.n_centers; ++i) {
    for (std::int64_t e = edges.begin[static_cast<std::size_t>(i)];
         e < edges.begin[static_cast<std::size_t>(i) + 1];
         ++e) {
      for (std::int32_t o = 0; o < n_out; ++o) {
        for (std::int32_t k = 0; k < matrix.components; ++k) {
          for (std::int32_t c = 0; c < radial.channels; ++c) {
            const double product = weight_at(stage.weight, o, c) * adj_out.at(i, k, o);
            adj_matrix.at(e, k, 0) += product * radial.at(e, 0, c);
            adj_radial.at(e, 0, c) += product * matrix.at(e, k, 0);
          }
        }
      }
    }
  }
}

// ---- equivariant norm: per l, y = f scale / sqrt(mean f^2 + eps), the mean over channels removed first for l = 0

namespace {

/// f of one node and one l, and 1/sqrt(mean f^2 + eps).
struct NormBlock {
  std::vector<double> f; ///< [2l+1, C]
  double inverse_norm = 0.0;
};

NormBlock
norm_block(const EquivariantNormStage& stage, const Value& x, std::int64_t node, std::int32_t l) {
  NormBlock block;
  double mean = 0.0;
  if (l == 0) {
    for (std::int32_t c = 0; c < x.channels; ++c) {
      mean += x.at(node, 0, c) / x.channels;
    }
  }
  double square = 0.0;
  for (std::int32_t lm = l * l; lm < (l + 1) * (l + 1); ++lm) {
    for (std::int32_t c = 0; c < x.channels; ++c) {
      block.f.push_back(x.at(node, lm, c) - mean);
      square += block.f.back() * block.f.back();
    }
  }
  block.inverse_norm = 1.0 / std::sqrt(square / static_cast<double>(block.f.size()) + stage.eps);
  return block;
}

} // namespace

Value equivariant_norm(const EquivariantNormStage& stage, const Value& x) {
  Value y(x.rows, x.components, x.channels);
  const std::int32_t l_max = degree_of(x.components - 1);
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for (std::int32_t l = 0; l <= l_max; ++l) {
      const NormBlock block = norm_block(stage, x, i, l);
      for (std::int32_t m = 0; m < 2 * l + 1; ++m) {
        for (std::int32_t c = 0; c < x.channels; ++c) {
          y.at(i, l * l + m, c) = block.f[static_cast<std::size_t>(m * x.channels + c)] *
                                      block.inverse_norm * weight_at(stage.scale, l, c) +
                                  (l == 0 ? bias_at(stage.shift, c) : 0.0);
        }
      }
    }
  }
  return y;
}

void equivariant_norm_adjoint(const EquivariantNormStage& stage,
                              const Value& x,
                              const Value& adj_out,
                              Value& adj_x) {
  const std::int32_t l_max = degree_of(x.components - 1);
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for (std::int32_t l = 0; l <= l_max; ++l) {
      const NormBlock block = norm_block(stage, x, i, l);
      const auto n = static_cast<double>(block.f.size());
      std::vector<double> adj_f(block.f.size());
      double projection = 0.0;
      for (std::size_t k = 0; k < block.f.size(); ++k) {
        const auto m = static_cast<std::int32_t>(k) / x.channels;
        const auto c = static_cast<std::int32_t>(k) % x.channels;
        adj_f[k] = adj_out.at(i, l * l + m, c) * weight_at(stage.scale, l, c);
        projection += adj_f[k] * block.f[k];
      }
      double mean = 0.0;
      for (std::size_t k = 0; k < block.f.size(); ++k) {
        adj_f[k] = block.inverse_norm * (adj_f[k] - block.f[k] * block.inverse_norm *
                                                        block.inverse_norm * projection / n);
        mean += adj_f[k] / n;
      }
      for (std::size_t k = 0; k < block.f.size(); ++k) {
        adj_x.at(i,
                 l * l + static_cast<std::int32_t>(k) / x.channels,
                 static_cast<std::int32_t>(k) % x.channels) += adj_f[k] - (l == 0 ? mean : 0.0);
      }
    }
  }
}

// ---- linear: y[lm] = W x[lm], bias on l = 0 ----

Value linear(const LinearStage& stage, const Value& x) {
  const auto n_out = static_cast<std::int32_t>(stage.weight.shape[0]);
  Value y(x.rows, (stage.l_max + 1) * (stage.l_max + 1), n_out);
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for (std::int32_t lm = 0; lm < y.components; ++lm) {
      for (std::int32_t o = 0; o < n_out; ++o) {
        double sum = (lm == 0 && stage.bias) ? bias_at(*stage.bias, o) : 0.0;
        for (std::int32_t c = 0; c < x.channels; ++c) {
          sum += weight_at(stage.weight, o, c) * x.at(i, lm, c);
        }
        y.at(i, lm, o) = sum;
      }
    }
  }
  return y;
}

void linear_adjoint(const LinearStage& stage, const Value& adj_out, Value& adj_x) {
  for (std::int64_t i = 0; i < adj_out.rows; ++i) {
    for (std::int32_t lm = 0; lm < adj_out.components; ++lm) {
      for (std::int32_t o = 0; o < adj_out.channels; ++o) {
        for (std::int32_t c = 0; c < adj_x.channels; ++c) {
          adj_x.at(i, lm, c) += weight_at(stage.weight, o, c) * adj_out.at(i, lm, o);
        }
      }
    }
  }
}

// ---- gate: l = 0: silu(x), l > 0: x sigmoid(gate) ----

Value gate(const Value& x, const Value& gates) {
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

void gate_adjoint(
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

// ---- edge attention ----

namespace {

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
                               const Value& source,
                               const Value& center,
                               const Value& matrix,
                               const Value& radial) {
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
                     const Value& source,
                     const Value& center,
                     const Value& matrix,
                     const Value& radial) {
  Value out(edges.n_centers, source.components, source.channels);
  const std::int32_t head_size = source.channels / stage.heads;
  for (std::int32_t i = 0; i < edges.n_centers; ++i) {
    const std::int64_t begin = edges.begin[static_cast<std::size_t>(i)];
    const AttentionEdges at = attention_edges(stage, edges, i, source, center, matrix, radial);
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
                            const Value& source,
                            const Value& center,
                            const Value& matrix,
                            const Value& radial,
                            const Value& adj_out,
                            Value& adj_source,
                            Value& adj_center,
                            Value& adj_matrix,
                            Value& adj_radial) {
  const std::int32_t d = source.components;
  const std::int32_t channels = source.channels;
  const std::int32_t head_size = channels / stage.heads;
  for (std::int32_t i = 0; i < edges.n_centers; ++i) {
    const std::int64_t begin = edges.begin[static_cast<std::size_t>(i)];
    const AttentionEdges at = attention_edges(stage, edges, i, source, center, matrix, radial);
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

// ---- readout: an MLP of the l = 0 row ----

namespace {

std::vector<double> scalar_row(const ReadoutStage& stage, const Value& x, std::int64_t node) {
  std::vector<double> row;
  row.reserve(static_cast<std::size_t>(stage.layers.front().weight.shape[1]));
  for (std::int32_t c = 0; c < stage.layers.front().weight.shape[1]; ++c) {
    row.push_back(x.at(node, 0, c));
  }
  return row;
}

} // namespace

Value readout(const ReadoutStage& stage, const Value& x) {
  Value y(x.rows, 1, 1);
  for (std::int64_t i = 0; i < x.rows; ++i) {
    y.at(i, 0, 0) = mlp(stage.layers, scalar_row(stage, x, i)).front();
  }
  return y;
}

void readout_adjoint(const ReadoutStage& stage,
                     const Value& x,
                     const Value& adj_out,
                     Value& adj_x) {
  for (std::int64_t i = 0; i < x.rows; ++i) {
    const auto adj_row = mlp_adjoint(stage.layers, scalar_row(stage, x, i), {adj_out.at(i, 0, 0)});
    for (std::size_t c = 0; c < adj_row.size(); ++c) {
      adj_x.at(i, 0, static_cast<std::int32_t>(c)) += adj_row[c];
    }
  }
}

} // namespace eqnn::reference
