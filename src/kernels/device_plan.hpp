// SPDX-License-Identifier: BSD-3-Clause
// A plan on a device: weights converted to the working precision, channels padded, matrices packed
// for tile_multiply.hpp.
#pragma once

#include "kernels/edge_stages.hpp"
#include "kernels/harmonics.hpp"
#include "kernels/node_stages.hpp"
#include "plan/compile.hpp"

#include <variant>
#include <vector>

namespace eqnn::kernels {

/// Channels are padded with zeros to a multiple of the SIMD width.
template <class Scalar> std::int32_t padded_channels(std::int32_t channels) {
  return plan::padded(channels, kLanes<Scalar>);
}

/// Copies host values to the device, converted. `counter` collects bytes.
template <class S, class T, class From>
Array<S, T> upload(const char* label, const std::vector<From>& values, std::size_t& counter) {
  const auto array = allocate<Array<S, T>>(label, values.size());
  auto host = Kokkos::create_mirror_view(array);
  for (std::size_t k = 0; k < values.size(); ++k) {
    host(k) = static_cast<T>(values[k]);
  }
  Kokkos::deep_copy(array, host);
  counter += values.size() * sizeof(T);
  return array;
}

/// [n] -> [n_padded], zeros behind.
inline std::vector<double> pad(const std::vector<double>& values, std::int32_t n_padded) {
  std::vector<double> out = values;
  out.resize(static_cast<std::size_t>(n_padded), 0.0);
  return out;
}

/// [n_rows, n_columns] row-major -> [n_rows_padded, n_columns_padded] in panels of kPanel columns.
template <class Scalar> std::vector<double> pack(const std::vector<double>& matrix,
                                                 std::int32_t n_rows,
                                                 std::int32_t n_columns,
                                                 std::int32_t n_rows_padded,
                                                 std::int32_t n_columns_padded) {
  std::vector<double> out(
      static_cast<std::size_t>(packed_size<Scalar>(n_rows_padded, n_columns_padded)), 0.0);
  for (std::int32_t r = 0; r < n_rows; ++r) {
    for (std::int32_t c = 0; c < n_columns; ++c) {
      const std::int64_t at = (c / kPanel<Scalar>)*kPanel<Scalar> * std::int64_t{n_rows_padded} +
                              r * std::int64_t{kPanel<Scalar>} + c % kPanel<Scalar>;
      out[static_cast<std::size_t>(at)] =
          matrix[static_cast<std::size_t>(r) * static_cast<std::size_t>(n_columns) +
                 static_cast<std::size_t>(c)];
    }
  }
  return out;
}

inline std::vector<double>
transpose(const std::vector<double>& matrix, std::int32_t n_rows, std::int32_t n_columns) {
  std::vector<double> out(matrix.size());
  for (std::int32_t r = 0; r < n_rows; ++r) {
    for (std::int32_t c = 0; c < n_columns; ++c) {
      out[static_cast<std::size_t>(c) * static_cast<std::size_t>(n_rows) +
          static_cast<std::size_t>(r)] =
          matrix[static_cast<std::size_t>(r) * static_cast<std::size_t>(n_columns) +
                 static_cast<std::size_t>(c)];
    }
  }
  return out;
}

/// A stage of the plan (its wiring) with its weights.
template <class S> struct EmbeddingStage {
  plan::Embedding op;
  Array<S, typename S::Scalar> table;
};

template <class S> struct NeighborSumStage {
  plan::NeighborSum op;
};

template <class S> struct LinearStage {
  plan::Linear op;
  DeviceLinear<S> weights;
};

template <class S> struct AddStage {
  plan::Add op;
};

template <class S> struct NormStage {
  plan::Norm op;
  DeviceNorm<S> weights;
};

template <class S> struct GateStage {
  plan::Gate op;
};

template <class S> struct AttentionStage {
  plan::Attention op;
  DeviceAttention<S> weights;
  /// among the attention stages: each keeps its own attention [n_edges, heads]
  std::int32_t index = 0;
  std::int32_t tile_edges = 0;
};

template <class S> struct ReadoutStage {
  plan::Readout op;
  DeviceReadout<S> weights;
};

template <class S> struct DirectForcesStage {
  plan::DirectForces op;
};

template <class S> using DeviceStage = std::variant<EmbeddingStage<S>,
                                                    NeighborSumStage<S>,
                                                    LinearStage<S>,
                                                    AddStage<S>,
                                                    NormStage<S>,
                                                    GateStage<S>,
                                                    AttentionStage<S>,
                                                    ReadoutStage<S>,
                                                    DirectForcesStage<S>>;

template <class S> struct DevicePlan {
  using Scalar = typename S::Scalar;
  using Accum = typename S::Accum;

  plan::Plan plan; ///< wiring and buffers; its tables are emptied after the upload
  HarmonicsTable harmonics{};
  std::vector<DeviceCoupling<S>> couplings;
  std::vector<DeviceRadial<S>> radials;
  std::vector<DeviceStage<S>> stages;
  std::int32_t n_attentions = 0;
  std::int32_t widest_message = 0; ///< scalars
  std::size_t bytes = 0;

  explicit DevicePlan(const plan::Plan& host)
      : plan(host)
      , harmonics(harmonics_table()) {
    for (auto& coupling : plan.couplings) {
      add_coupling(coupling);
    }
    for (auto& radial : plan.radials) {
      add_radial(radial);
    }
    for (auto& stage : plan.stages) {
      std::visit([&](auto& op) { add_stage(op); }, stage);
    }
    plan.stages.clear();
    plan.couplings.clear();
    for (auto& radial : plan.radials) {
      radial.coefficients.clear();
    }
  }

  std::int32_t channels_of(plan::ValueId v) const {
    return plan.values[static_cast<std::size_t>(v)].channels;
  }

private:
  void add_coupling(const plan::Coupling& coupling) {
    const std::int32_t d = coupling.components;
    DeviceCoupling<S> out;
    out.components = d;
    out.forward = upload<S, Scalar>(
        "eqnn::coupling",
        pack<Scalar>(coupling.values, d, d * d, d, padded_channels<Scalar>(d * d)),
        bytes);
    out.adjoint = upload<S, Scalar>(
        "eqnn::coupling_adjoint",
        pack<Scalar>(
            transpose(coupling.values, d, d * d), d * d, d, d * d, padded_channels<Scalar>(d)),
        bytes);
    couplings.push_back(out);
  }

  void add_radial(const plan::RadialTable& table) {
    DeviceRadial<S> out;
    out.n_intervals = table.n_intervals;
    out.degree = table.degree;
    out.stride = padded_channels<Scalar>(table.channels);
    out.intervals_per_angstrom = table.n_intervals / plan.cutoff;
    out.coefficients =
        upload<S, Scalar>("eqnn::radial", pad_rows(table.coefficients, table.channels), bytes);
    radials.push_back(out);
  }

  /// [rows, channels] -> [rows, padded channels]
  static std::vector<double> pad_rows(const std::vector<double>& values, std::int32_t channels) {
    const auto stride = static_cast<std::size_t>(padded_channels<Scalar>(channels));
    const std::size_t n_rows = values.size() / static_cast<std::size_t>(channels);
    std::vector<double> out(n_rows * stride, 0.0);
    for (std::size_t r = 0; r < n_rows; ++r) {
      std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(r) * channels,
                  channels,
                  out.begin() + static_cast<std::ptrdiff_t>(r * stride));
    }
    return out;
  }

  Array<S, Scalar> packed_weight(const char* label,
                                 const std::vector<double>& weight,
                                 std::int32_t n_in,
                                 std::int32_t n_out) {
    return upload<S, Scalar>(
        label,
        pack<Scalar>(
            weight, n_in, n_out, padded_channels<Scalar>(n_in), padded_channels<Scalar>(n_out)),
        bytes);
  }

  Array<S, Scalar> padded_vector(const char* label, const std::vector<double>& values) {
    return upload<S, Scalar>(
        label,
        pad(values, padded_channels<Scalar>(static_cast<std::int32_t>(values.size()))),
        bytes);
  }

  void add_stage(plan::Embedding& op) {
    EmbeddingStage<S> stage;
    stage.table =
        upload<S, Scalar>("eqnn::embedding_table", pad_rows(op.table, channels_of(op.out)), bytes);
    op.table.clear();
    stage.op = std::move(op);
    stages.emplace_back(std::move(stage));
  }

  void add_stage(plan::NeighborSum& op) { stages.emplace_back(NeighborSumStage<S>{op}); }

  void add_stage(plan::Linear& op) {
    const std::int32_t n_in = channels_of(op.in.value);
    const std::int32_t n_out = channels_of(op.out);
    LinearStage<S> stage;
    stage.weights.weight = packed_weight("eqnn::linear_weight", op.weight, n_in, n_out);
    stage.weights.adjoint = packed_weight(
        "eqnn::linear_adjoint_weight", transpose(op.weight, n_in, n_out), n_out, n_in);
    if (!op.bias.empty()) {
      stage.weights.bias = padded_vector("eqnn::linear_bias", op.bias);
    }
    stage.weights.bias_per_neighbor = op.bias_per_neighbor;
    op.weight.clear();
    stage.op = std::move(op);
    stages.emplace_back(std::move(stage));
  }

  void add_stage(plan::Add& op) { stages.emplace_back(AddStage<S>{op}); }

  void add_stage(plan::Norm& op) {
    NormStage<S> stage;
    stage.weights.scale =
        upload<S, Scalar>("eqnn::norm_scale", pad_rows(op.scale, channels_of(op.out)), bytes);
    stage.weights.shift = padded_vector("eqnn::norm_shift", op.shift);
    stage.weights.eps = op.eps;
    stage.op = std::move(op);
    stages.emplace_back(std::move(stage));
  }

  void add_stage(plan::Gate& op) { stages.emplace_back(GateStage<S>{op}); }

  void add_stage(plan::Attention& op) {
    AttentionStage<S> stage;
    DeviceAttention<S>& a = stage.weights;
    a.channels = channels_of(op.out);
    a.stride = padded_channels<Scalar>(a.channels);
    a.components = plan.values[static_cast<std::size_t>(op.out)].components;
    a.heads = op.heads;
    a.head_size = a.channels / op.heads;
    a.negative_slope = static_cast<Scalar>(op.negative_slope);
    a.eps = op.eps;
    a.value_weight = packed_weight("eqnn::value_weight", op.value_weight, a.channels, a.channels);
    a.value_adjoint = packed_weight("eqnn::value_adjoint",
                                    transpose(op.value_weight, a.channels, a.channels),
                                    a.channels,
                                    a.channels);
    a.value_bias = padded_vector("eqnn::value_bias", op.value_bias);
    a.logit_vector = padded_vector("eqnn::logit_vector", op.logit_vector);
    // logits and gates side by side: [in, 2 stride]
    std::vector<double> both(
        static_cast<std::size_t>(a.channels) * 2 * static_cast<std::size_t>(a.stride), 0.0);
    std::vector<double> bias(2 * static_cast<std::size_t>(a.stride), 0.0);
    for (std::int32_t o = 0; o < a.channels; ++o) {
      const auto at = static_cast<std::size_t>(o);
      bias[at] = op.logit_bias[at];
      bias[static_cast<std::size_t>(a.stride) + at] = op.gate_bias[at];
      for (std::int32_t in = 0; in < a.channels; ++in) {
        const auto from = static_cast<std::size_t>(in) * static_cast<std::size_t>(a.channels) + at;
        const auto to = static_cast<std::size_t>(in) * 2 * static_cast<std::size_t>(a.stride) + at;
        both[to] = op.logit_weight[from];
        both[to + static_cast<std::size_t>(a.stride)] = op.gate_weight[from];
      }
    }
    a.scalar_weight =
        upload<S, Scalar>("eqnn::scalar_weight",
                          pack<Scalar>(both, a.channels, 2 * a.stride, a.stride, 2 * a.stride),
                          bytes);
    a.scalar_adjoint = upload<S, Scalar>("eqnn::scalar_adjoint",
                                         pack<Scalar>(transpose(both, a.channels, 2 * a.stride),
                                                      2 * a.stride,
                                                      a.channels,
                                                      2 * a.stride,
                                                      a.stride),
                                         bytes);
    a.scalar_bias = upload<S, Scalar>("eqnn::scalar_bias", bias, bytes);
    stage.index = n_attentions++;
    stage.tile_edges = attention_tile_edges<S>(a.components, a.stride);
    widest_message = std::max(widest_message, a.components * a.stride);
    for (auto* weight : {&op.logit_weight, &op.value_weight, &op.gate_weight}) {
      weight->clear();
    }
    stage.op = std::move(op);
    stages.emplace_back(std::move(stage));
  }

  void add_stage(plan::Readout& op) {
    ReadoutStage<S> stage;
    DeviceReadout<S>& out = stage.weights;
    if (op.layers.size() > kMaxReadoutLayers) {
      fail("a readout of ",
           op.layers.size(),
           " layers, expected at most ",
           kMaxReadoutLayers,
           ". Use a model with fewer.");
    }
    for (const auto& layer : op.layers) {
      DeviceDense<S>& dense = out.layers[out.n_layers++];
      dense.n_in = layer.n_in;
      dense.n_out = layer.n_out;
      dense.silu = layer.silu;
      dense.weight = upload<S, Accum>("eqnn::readout_weight", layer.weight, bytes);
      dense.bias = upload<S, Accum>("eqnn::readout_bias", layer.bias, bytes);
      out.widest = std::max({out.widest, layer.n_in, layer.n_out});
      out.n_hidden += layer.n_out;
    }
    op.layers.clear();
    stage.op = std::move(op);
    stages.emplace_back(std::move(stage));
  }

  void add_stage(plan::DirectForces& op) { stages.emplace_back(DirectForcesStage<S>{op}); }
};

} // namespace eqnn::kernels
