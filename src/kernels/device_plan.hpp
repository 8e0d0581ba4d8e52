// SPDX-License-Identifier: BSD-3-Clause
// A plan on a device: weights converted to the working precision, channels padded, matrices packed
// for tile_multiply.hpp.
#pragma once

#include "base/error.hpp"
#include "kernels/block_stages.hpp"
#include "kernels/edge_product.hpp"
#include "kernels/harmonics.hpp"
#include "kernels/node_stages.hpp"
#include "kernels/sphere_stages.hpp"
#include "kernels/zonal_product.hpp"
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

/// A block's map on the device; weights packed.
template <class S> struct DeviceBlockMap {
  std::int32_t in = 0, out = 0;
  DeviceLinear<S> weights; ///< where all species share them
  std::int64_t size = 0;   ///< scalars of one species' matrix, else
  std::int64_t adjoint_size = 0;
};

template <class S> struct BlockLinearStage {
  plan::BlockLinear op;
  std::vector<DeviceBlockMap<S>> maps;
};

template <class S> struct EdgeProductStage {
  plan::EdgeProduct op;
  DeviceEdgeProduct<S> product;
};

template <class S> struct ZonalProductStage {
  plan::ZonalProduct op;
  DeviceZonalProduct<S> product;
};

template <class S> struct BlockGateStage {
  plan::BlockGate op;
};

template <class S> struct RmsNormStage {
  plan::RmsNorm op;
  DeviceRmsNorm<S> norm;
};

template <class S> struct PolynomialStage {
  plan::Polynomial op;
  DevicePolynomial<S> polynomial;
};

template <class S> struct SphereProductStage {
  plan::SphereProduct op;
  DeviceSphereProduct<S> product;
};

template <class S> struct SpherePowerStage {
  plan::SpherePower op;
  DeviceSpherePower<S> power;
};

template <class S> struct RepulsionStage {
  DeviceRepulsion<S> repulsion;
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
                                                    BlockLinearStage<S>,
                                                    EdgeProductStage<S>,
                                                    ZonalProductStage<S>,
                                                    BlockGateStage<S>,
                                                    RmsNormStage<S>,
                                                    PolynomialStage<S>,
                                                    SphereProductStage<S>,
                                                    SpherePowerStage<S>,
                                                    RepulsionStage<S>,
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

  const plan::NodeValue& value(plan::ValueId v) const {
    return plan.values[static_cast<std::size_t>(v)];
  }

  std::int32_t channels_of(plan::ValueId v) const { return value(v).channels; }

  const plan::Block& block(plan::ValueId v, std::int32_t b) const {
    return value(v).blocks[static_cast<std::size_t>(b)];
  }

  static std::int32_t stride_of(const plan::Block& block) {
    return padded_channels<Scalar>(block.reserved);
  }

  /// Where block b begins in a row.
  std::int32_t first_of(plan::ValueId v, std::int32_t b) const {
    std::int32_t first = 0;
    for (std::int32_t k = 0; k < b; ++k) {
      first += block(v, k).components * stride_of(block(v, k));
    }
    return first;
  }

  std::int32_t pitch_of(plan::ValueId v) const {
    return first_of(v, static_cast<std::int32_t>(value(v).blocks.size()));
  }

  /// Where component k of a value begins in a row.
  std::int32_t component_of(plan::ValueId v, std::int32_t k) const {
    std::int32_t b = 0;
    while (k >= block(v, b).components) {
      k -= block(v, b++).components;
    }
    return first_of(v, b) + k * stride_of(block(v, b));
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

  /// [n_in, n_out] -> packed for a block whose rows have these strides.
  std::vector<double> pack_block(const std::vector<double>& weight,
                                 std::int32_t n_in,
                                 std::int32_t n_out,
                                 std::int32_t in_stride,
                                 std::int32_t out_stride) const {
    return pack<Scalar>(weight, n_in, n_out, in_stride, out_stride);
  }

  void add_stage(plan::BlockLinear& op) {
    BlockLinearStage<S> stage;
    for (auto& map : op.blocks) {
      const plan::Block& in = block(op.in.value, map.in);
      const plan::Block& out = block(op.out, map.out);
      const std::size_t matrix =
          static_cast<std::size_t>(in.channels) * static_cast<std::size_t>(out.channels);
      std::vector<double> forward;
      std::vector<double> adjoint;
      for (std::size_t begin = 0; begin < map.weight.size(); begin += matrix) {
        const auto from = map.weight.begin() + static_cast<std::ptrdiff_t>(begin);
        const std::vector<double> weight(from, from + static_cast<std::ptrdiff_t>(matrix));
        const auto one =
            pack_block(weight, in.channels, out.channels, stride_of(in), stride_of(out));
        const auto other = pack_block(transpose(weight, in.channels, out.channels),
                                      out.channels,
                                      in.channels,
                                      stride_of(out),
                                      stride_of(in));
        forward.insert(forward.end(), one.begin(), one.end());
        adjoint.insert(adjoint.end(), other.begin(), other.end());
      }
      const auto n_matrices = static_cast<std::int64_t>(map.weight.size() / matrix);
      DeviceBlockMap<S> device;
      device.in = map.in;
      device.out = map.out;
      device.size = static_cast<std::int64_t>(forward.size()) / n_matrices;
      device.adjoint_size = static_cast<std::int64_t>(adjoint.size()) / n_matrices;
      device.weights.weight = upload<S, Scalar>("eqnn::block_weight", forward, bytes);
      device.weights.adjoint = upload<S, Scalar>("eqnn::block_adjoint", adjoint, bytes);
      if (map.out == 0 && !op.bias.empty()) {
        device.weights.bias =
            upload<S, Scalar>("eqnn::block_bias", pad(op.bias, stride_of(out)), bytes);
      }
      stage.maps.push_back(device);
      map.weight.clear();
    }
    stage.op = std::move(op);
    stages.emplace_back(std::move(stage));
  }

  void add_stage(plan::EdgeProduct& op) {
    EdgeProductStage<S> stage;
    DeviceEdgeProduct<S>& p = stage.product;
    std::vector<DevicePath> paths;
    for (const plan::Path& path : op.paths) {
      const plan::Block& source = block(op.source.value, path.source);
      const plan::Block& out = block(op.out, path.out);
      paths.push_back({first_of(op.source.value, path.source),
                       stride_of(source),
                       source.components,
                       first_of(op.out, path.out) + path.channel,
                       stride_of(out),
                       out.components,
                       padded_channels<Scalar>(path.channels),
                       path.radial,
                       path.entry});
    }
    p.n_paths = static_cast<std::int32_t>(paths.size());
    p.paths = upload<S, DevicePath>("eqnn::paths", paths, bytes);
    p.harmonics = op.harmonics;
    p.harmonics_stride = padded_channels<Scalar>(plan.harmonics);
    p.entries = op.entries;
    p.entries_stride = padded_channels<Scalar>(op.entries);
    p.coupling = upload<S, Scalar>(
        "eqnn::path_coupling",
        pack<Scalar>(op.coupling, op.harmonics, op.entries, op.harmonics, p.entries_stride),
        bytes);
    p.adjoint = upload<S, Scalar>("eqnn::path_coupling_adjoint",
                                  pack<Scalar>(transpose(op.coupling, op.harmonics, op.entries),
                                               op.entries,
                                               op.harmonics,
                                               op.entries,
                                               p.harmonics_stride),
                                  bytes);
    p.tile_edges = tile_edges(2 * (radial_stride(op.radial) + p.entries_stride));
    widest_message = std::max(widest_message, pitch_of(op.source.value));
    op.coupling.clear();
    stage.op = std::move(op);
    stages.emplace_back(std::move(stage));
  }

  std::int32_t radial_stride(std::int32_t radial) const {
    return radials[static_cast<std::size_t>(radial)].stride;
  }

  /// Edges whose buffers of so many scalars each fit a tile.
  static std::int32_t tile_edges(std::int64_t scalars) {
    const std::size_t bytes = sizeof(Scalar) * static_cast<std::size_t>(scalars);
    return std::clamp(
        static_cast<std::int32_t>(kTileBytes / bytes), kFewestTileEdges, kMostTileEdges);
  }

  void add_stage(plan::ZonalProduct& op) {
    ZonalProductStage<S> stage;
    DeviceZonalProduct<S>& p = stage.product;
    p.l_source = op.l_source;
    p.l_out = op.l_out;
    p.l_turned = op.l_turned;
    p.channels = padded_channels<Scalar>(channels_of(op.out));
    p.entries = op.entries;
    p.entries_stride = padded_channels<Scalar>(op.entries);
    p.harmonics_stride = padded_channels<Scalar>(plan.harmonics);
    const std::int32_t n_angles = 2 * op.l_turned + 1;
    p.polar =
        upload<S, Scalar>("eqnn::polar_turns",
                          pack<Scalar>(op.polar, n_angles, op.entries, n_angles, p.entries_stride),
                          bytes);
    p.n_axial = op.n_axial;
    p.n_pairs = static_cast<std::int32_t>(op.pairs.size());
    p.pairs = upload<S, plan::ZonalPair>("eqnn::zonal_pairs", op.pairs, bytes);
    std::vector<DeviceZonalTerm<Scalar>> terms;
    terms.reserve(op.terms.size());
    for (const plan::ZonalTerm& term : op.terms) {
      terms.push_back({term.l * p.channels, static_cast<Scalar>(term.value)});
    }
    p.terms = upload<S, DeviceZonalTerm<Scalar>>("eqnn::zonal_terms", terms, bytes);
    for (const std::size_t axis : {0U, 1U}) {
      std::vector<DeviceTurn<Scalar>> turns;
      turns.reserve(op.turns[axis].size());
      for (const plan::Turn& turn : op.turns[axis]) {
        turns.push_back({turn.i, turn.j, static_cast<Scalar>(turn.value)});
      }
      p.n_turns[axis] = static_cast<std::int32_t>(turns.size());
      p.turns[axis] = upload<S, DeviceTurn<Scalar>>("eqnn::turns", turns, bytes);
    }
    p.tile_edges = tile_edges(2 * radial_stride(op.radial) + p.entries_stride + p.angles());
    widest_message = std::max(widest_message, pitch_of(op.source.value));
    op.polar.clear();
    stage.op = std::move(op);
    stages.emplace_back(std::move(stage));
  }

  void add_stage(plan::BlockGate& op) { stages.emplace_back(BlockGateStage<S>{op}); }

  void add_stage(plan::RmsNorm& op) {
    RmsNormStage<S> stage;
    std::vector<NormBlock> blocks;
    std::vector<double> scale;
    const auto& of_value = value(op.out).blocks;
    for (std::size_t b = 0; b < of_value.size(); ++b) {
      const plan::Block& block = of_value[b];
      blocks.push_back(
          {first_of(op.out, static_cast<std::int32_t>(b)),
           block.components,
           block.channels,
           stride_of(block),
           static_cast<std::int32_t>(scale.size()),
           1.0 / (static_cast<double>(of_value.size()) * block.components * block.channels)});
      const auto padded = pad(op.scale[b], stride_of(block));
      scale.insert(scale.end(), padded.begin(), padded.end());
    }
    stage.norm.n_blocks = static_cast<std::int32_t>(blocks.size());
    stage.norm.eps = op.eps;
    stage.norm.blocks = upload<S, NormBlock>("eqnn::norm_blocks", blocks, bytes);
    stage.norm.scale = upload<S, Scalar>("eqnn::rms_scale", scale, bytes);
    stage.op = std::move(op);
    stages.emplace_back(std::move(stage));
  }

  void add_stage(plan::Polynomial& op) {
    PolynomialStage<S> stage;
    DevicePolynomial<S>& p = stage.polynomial;
    const std::int32_t channels = block(op.in.value, 0).channels;
    p.stride = stride_of(block(op.in.value, 0));
    std::vector<DeviceMonomial> monomials;
    for (const plan::Monomial& m : op.monomials) {
      DeviceMonomial monomial{-1, -1, m.component, m.first_term, m.n_terms};
      if (m.parent >= 0) {
        monomial.parent = monomials[static_cast<std::size_t>(m.parent)].own;
      }
      if (m.has_children) {
        monomial.own = p.n_slots++;
      }
      monomials.push_back(monomial);
    }
    std::vector<std::int32_t> target;
    target.reserve(op.target.size());
    for (const std::int32_t component : op.target) {
      target.push_back(component_of(op.out, component));
    }
    p.n_monomials = static_cast<std::int32_t>(monomials.size());
    p.n_terms = static_cast<std::int32_t>(target.size());
    p.monomials = upload<S, DeviceMonomial>("eqnn::monomials", monomials, bytes);
    p.target = upload<S, std::int32_t>("eqnn::polynomial_targets", target, bytes);
    p.coefficients = upload<S, Scalar>(
        "eqnn::polynomial_coefficients", pad_rows(op.coefficients, channels), bytes);
    op.coefficients.clear();
    stage.op = std::move(op);
    stages.emplace_back(std::move(stage));
  }

  /// [l_max + 1, channels] -> [components, stride]
  Array<S, Scalar> scale_of_components(const std::vector<double>& scale, std::int32_t channels) {
    const std::int32_t stride = padded_channels<Scalar>(channels);
    std::vector<double> out;
    const auto n_degrees = static_cast<std::int32_t>(scale.size()) / channels;
    for (std::int32_t l = 0; l < n_degrees; ++l) {
      const auto begin = scale.begin() + std::ptrdiff_t{l} * channels;
      const auto row = pad({begin, begin + channels}, stride);
      for (std::int32_t m = 0; m < 2 * l + 1; ++m) {
        out.insert(out.end(), row.begin(), row.end());
      }
    }
    return upload<S, Scalar>("eqnn::product_scale", out, bytes);
  }

  DeviceTransform<S> transform(const plan::SphereTransform& host) {
    DeviceTransform<S> out;
    out.n_components = host.n_components;
    out.n_points = host.n_points;
    out.n_rings = host.n_rings;
    if (host.n_rings > 0) {
      out.n_azimuth = host.n_points / host.n_rings;
      out.l_max = (static_cast<std::int32_t>(host.azimuthal.size()) / out.n_azimuth - 1) / 2;
    }
    out.matrix = upload<S, Scalar>(
        "eqnn::sphere_transform", host.n_rings > 0 ? host.polar : host.matrix, bytes);
    out.azimuthal = upload<S, Scalar>("eqnn::sphere_azimuthal", host.azimuthal, bytes);
    out.order = upload<S, std::int32_t>("eqnn::sphere_order", host.order, bytes);
    return out;
  }

  void add_stage(plan::SpherePower& op) {
    SpherePowerStage<S> stage;
    DeviceSpherePower<S>& p = stage.power;
    const std::int32_t channels = channels_of(op.in.value);
    p.stride = padded_channels<Scalar>(channels);
    p.d_in = value(op.in.value).components;
    p.d_out = value(op.out).components;
    p.n_orders = op.n_orders;
    p.of_in = transform(op.of_in);
    p.of_out = transform(op.of_out);
    // a row for each component, in the transform's order
    std::vector<double> weights;
    std::int32_t n_degrees = 0;
    while (n_degrees * n_degrees < p.d_out) {
      ++n_degrees;
    }
    const std::size_t block =
        static_cast<std::size_t>(n_degrees) * static_cast<std::size_t>(channels);
    for (std::size_t begin = 0; begin < op.weights.size(); begin += block) {
      for (const std::int32_t component : op.of_out.order) {
        std::int32_t l = 0;
        while ((l + 1) * (l + 1) <= component) {
          ++l;
        }
        const auto from =
            op.weights.begin() + static_cast<std::ptrdiff_t>(begin) + std::ptrdiff_t{l} * channels;
        const auto row = pad({from, from + channels}, p.stride);
        weights.insert(weights.end(), row.begin(), row.end());
      }
    }
    p.weights = upload<S, Scalar>("eqnn::sphere_power_weights", weights, bytes);
    op.weights.clear();
    op.of_in = op.of_out = {};
    stage.op = std::move(op);
    stages.emplace_back(std::move(stage));
  }

  void add_stage(plan::SphereProduct& op) {
    SphereProductStage<S> stage;
    DeviceSphereProduct<S>& p = stage.product;
    const std::int32_t channels = channels_of(op.a.value);
    p.stride = padded_channels<Scalar>(channels);
    p.d_a = value(op.a.value).components;
    p.d_b = value(op.b.value).components;
    p.d_out = value(op.out).components;
    p.scale_a = scale_of_components(op.scale_a, channels);
    p.scale_b = scale_of_components(op.scale_b, channels);
    p.scale_out = scale_of_components(op.scale_out, channels);
    p.scale_curl = scale_of_components(op.scale_curl, channels);
    const auto table = [&](const std::vector<plan::Triple>& triples) {
      std::vector<DeviceTriple<Scalar>> list;
      list.reserve(triples.size());
      for (const plan::Triple& t : triples) {
        list.push_back({t.i, t.j, t.k, static_cast<Scalar>(t.value)});
      }
      return upload<S, DeviceTriple<Scalar>>("eqnn::product_table", list, bytes);
    };
    p.n_gaunt = static_cast<std::int32_t>(op.gaunt.size());
    p.n_curl = static_cast<std::int32_t>(op.curl.size());
    p.gaunt = table(op.gaunt);
    p.curl = table(op.curl);
    p.is_sparse = op.lowering == plan::Lowering::Sparse;
    const auto in_order = [](std::int32_t n) {
      plan::SphereTransform identity;
      for (std::int32_t k = 0; k < n; ++k) {
        identity.order.push_back(k);
      }
      return identity;
    };
    p.of_a = transform(p.is_sparse ? in_order(p.d_a) : op.of_a);
    p.of_b = transform(p.is_sparse ? in_order(p.d_b) : op.of_b);
    p.of_out = transform(p.is_sparse ? in_order(p.d_out) : op.of_out);
    for (const int tangent : {0, 1}) {
      p.gradient_a[tangent] = transform(op.gradient_a[tangent]);
      p.gradient_b[tangent] = transform(op.gradient_b[tangent]);
      op.gradient_a[tangent] = op.gradient_b[tangent] = {};
    }
    op.of_a = op.of_b = op.of_out = {};
    op.gaunt.clear();
    op.curl.clear();
    stage.op = std::move(op);
    stages.emplace_back(std::move(stage));
  }

  void add_stage(plan::Repulsion& op) {
    RepulsionStage<S> stage;
    DeviceRepulsion<S>& q = stage.repulsion;
    q.n_species = op.n_species;
    q.n_terms = static_cast<std::int32_t>(op.coefficients.size());
    q.p = op.p;
    q.prefactor = upload<S, double>("eqnn::repulsion", op.prefactor, bytes);
    q.range = upload<S, double>("eqnn::repulsion", op.range, bytes);
    q.exponents = upload<S, double>("eqnn::repulsion", op.exponents, bytes);
    q.coefficients = upload<S, double>("eqnn::repulsion", op.coefficients, bytes);
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
