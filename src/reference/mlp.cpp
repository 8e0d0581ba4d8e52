// SPDX-License-Identifier: BSD-3-Clause
#include "reference/mlp.hpp"

#include "reference/edges.hpp"
#include "reference/scalar_functions.hpp"

#include <cmath>

namespace eqnn::reference {
namespace {

double dot_row(const Tensor& weight, std::int64_t out, const std::vector<double>& x) {
  double sum = 0.0;
  for (std::size_t k = 0; k < x.size(); ++k) {
    sum += weight_at(weight, out, static_cast<std::int64_t>(k)) * x[k];
  }
  return sum;
}

/// The steps of one MLP layer applied to x.
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

MlpTangent mlp_tangent(const std::vector<MlpLayer>& layers,
                       const std::vector<double>& x,
                       const std::vector<double>& v) {
  const auto states = mlp_states(layers, x);
  MlpTangent result{states.back().output, v};
  for (std::size_t k = 0; k < states.size(); ++k) {
    result.tangent = layer_tangent(layers[k], states[k], result.tangent);
  }
  return result;
}

} // namespace eqnn::reference
