// SPDX-License-Identifier: BSD-3-Clause
// The page to read first: all stages of a network, forward, then in reverse. Each is one kernel
// call; what they compute stands in node_stages.hpp, edge_stages.hpp, harmonics.hpp, with formulas
// in docs/spec/.
#pragma once

#include "kernels/any_evaluator.hpp"
#include "kernels/device_plan.hpp"
#include "kernels/workspace.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace eqnn::kernels {

template <class S> class Evaluator final : public AnyEvaluator {
public:
  using Scalar = typename S::Scalar;
  using Accum = typename S::Accum;

  explicit Evaluator(const plan::Plan& plan)
      : plan_(plan)
      , gather_(!S::kOnHost || space_.concurrency() > 1) {}

  void take(const EdgeList& edges) override {
    bring_edges(edges);
    check_distances(edges);
  }

  void forward(HaloExchange& halo, Outputs& outputs) override {
    halo_ = &halo;
    for (std::size_t k = 0; k < plan_.couplings.size(); ++k) {
      edge_matrices(space_,
                    edges_,
                    plan_.harmonics,
                    degree_of(plan_.couplings[k].components),
                    plan_.couplings[k],
                    matrices_[k]);
    }
    if (plan_.plan.harmonics > 0) {
      edge_harmonics(
          space_, edges_, plan_.harmonics, harmonics_l_max(), harmonics_stride(), harmonics_);
    }
    Kokkos::deep_copy(space_, energy_, 0.0);
    for (const auto& stage : plan_.stages) {
      std::visit([&](const auto& s) { forward(s, outputs); }, stage);
    }
    collect(energy_, edges_.n_centers, outputs.energy);
  }

  void reverse(HaloExchange& halo, const std::vector<double>& seed, Outputs& outputs) override {
    halo_ = &halo;
    const HostView<const double> host(seed.data(), seed.size());
    Kokkos::deep_copy(Kokkos::subview(seed_, std::make_pair(std::size_t{0}, seed.size())), host);
    clear_edge_adjoints();
    for (auto stage = plan_.stages.rbegin(); stage != plan_.stages.rend(); ++stage) {
      std::visit([&](const auto& s) { adjoint(s); }, *stage);
    }
    distances_adjoint(space_, edges_, adj_distance_, gradient_);
    for (std::size_t k = 0; k < plan_.couplings.size(); ++k) {
      edge_matrices_adjoint(space_,
                            edges_,
                            plan_.harmonics,
                            degree_of(plan_.couplings[k].components),
                            plan_.couplings[k],
                            adj_matrices_[k],
                            gradient_);
    }
    if (plan_.plan.harmonics > 0) {
      edge_harmonics_adjoint(space_,
                             edges_,
                             plan_.harmonics,
                             harmonics_l_max(),
                             harmonics_stride(),
                             adj_harmonics_,
                             gradient_);
    }
    collect(gradient_, 3 * edges_.n_edges, outputs.edge_gradient);
  }

  std::size_t bytes_used() const override {
    std::size_t total = plan_.bytes + bytes_of(distance_) + bytes_of(energy_) + bytes_of(seed_) +
                        bytes_of(adj_distance_) + bytes_of(gradient_) + bytes_of(messages_) +
                        bytes_of(harmonics_) + bytes_of(adj_harmonics_) + begin_.bytes() +
                        source_.bytes() + center_.bytes() + species_.bytes() + vector_.bytes() +
                        group_.bytes() + segment_begin_.bytes() + segment_edge_.bytes();
    for (const auto* arrays : {&buffers_, &matrices_, &adj_matrices_}) {
      for (const auto& array : *arrays) {
        total += bytes_of(array);
      }
    }
    for (const auto& array : attention_) {
      total += bytes_of(array);
    }
    return total;
  }

  int concurrency() const override { return space_.concurrency(); }

private:
  template <class T> using HostView =
      Kokkos::View<T*, Kokkos::HostSpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>;

  // ---- each stage, forward and adjoint ----

  void forward(const EmbeddingStage<S>& s, Outputs&) {
    embedding(space_, edges_, s.table, value(s.op.out));
  }

  void adjoint(const EmbeddingStage<S>&) {}

  void forward(const NeighborSumStage<S>& s, Outputs&) {
    neighbor_sum(
        space_, edges_, kMostTileEdges, matrix(s.op.matrix), radial(s.op.radial), value(s.op.out));
  }

  void adjoint(const NeighborSumStage<S>& s) {
    neighbor_sum_adjoint(space_,
                         edges_,
                         matrix(s.op.matrix),
                         radial(s.op.radial),
                         adj(s.op.out),
                         adj_matrix(s.op.matrix),
                         adj_distance_);
  }

  void forward(const LinearStage<S>& s, Outputs&) {
    linear(space_,
           edges_,
           s.weights,
           value(s.op.in.value),
           value(s.op.residual.value),
           value(s.op.out));
  }

  void adjoint(const LinearStage<S>& s) {
    linear_adjoint(
        space_, edges_.n_centers, s.weights, adj(s.op.out), adj(s.op.in.value), s.op.in.adjoint);
    if (s.op.residual.value != plan::kNoValue) {
      add_adjoint<S>(
          space_, edges_.n_centers, adj(s.op.out), adj(s.op.residual.value), s.op.residual.adjoint);
    }
  }

  void forward(const AddStage<S>& s, Outputs&) {
    if (s.op.blocks.empty()) {
      add<S>(space_, edges_.n_centers, value(s.op.a.value), value(s.op.b.value), value(s.op.out));
      return;
    }
    copy<S>(space_, edges_.n_centers, value(s.op.a.value), value(s.op.out));
    for (std::size_t b = 0; b < s.op.blocks.size(); ++b) {
      add_block<S>(space_,
                   edges_.n_centers,
                   block(s.op.b.value, static_cast<std::int32_t>(b), false),
                   block(s.op.out, s.op.blocks[b], false),
                   plan::Write::Add);
    }
  }

  void adjoint(const AddStage<S>& s) {
    add_adjoint<S>(space_, edges_.n_centers, adj(s.op.out), adj(s.op.a.value), s.op.a.adjoint);
    if (s.op.blocks.empty()) {
      add_adjoint<S>(space_, edges_.n_centers, adj(s.op.out), adj(s.op.b.value), s.op.b.adjoint);
      return;
    }
    for (std::size_t b = 0; b < s.op.blocks.size(); ++b) {
      add_block<S>(space_,
                   edges_.n_centers,
                   block(s.op.out, s.op.blocks[b], true),
                   block(s.op.b.value, static_cast<std::int32_t>(b), true),
                   s.op.b.adjoint);
    }
  }

  void forward(const NormStage<S>& s, Outputs&) {
    norm(space_, edges_.n_centers, s.weights, value(s.op.in.value), value(s.op.out));
  }

  void adjoint(const NormStage<S>& s) {
    norm_adjoint(space_,
                 edges_.n_centers,
                 s.weights,
                 value(s.op.in.value),
                 adj(s.op.out),
                 adj(s.op.in.value),
                 s.op.in.adjoint);
  }

  void forward(const GateStage<S>& s, Outputs&) {
    gate<S>(space_,
            edges_.n_centers,
            value(s.op.features.value),
            value(s.op.gates.value),
            value(s.op.out));
  }

  void adjoint(const GateStage<S>& s) {
    gate_adjoint<S>(space_,
                    edges_.n_centers,
                    value(s.op.features.value),
                    value(s.op.gates.value),
                    adj(s.op.out),
                    adj(s.op.features.value),
                    s.op.features.adjoint,
                    adj(s.op.gates.value),
                    s.op.gates.adjoint);
  }

  void forward(const AttentionStage<S>& s, Outputs&) {
    exchange_forward(value(s.op.source.value));
    attention(space_,
              edges_,
              s.tile_edges,
              matrix(s.op.matrix),
              radial(s.op.radial),
              s.weights,
              value(s.op.source.value),
              value(s.op.center.value),
              value(s.op.out),
              attention_[static_cast<std::size_t>(s.index)]);
  }

  void adjoint(const AttentionStage<S>& s) {
    const Rows<Scalar> adj_center = adj(s.op.center.value);
    adjoint_along_edges(
        s.op.source, adj_center, [&](const EdgeSchedule::Chunk& chunk, const auto& adjoints) {
          attention_adjoint(space_,
                            edges_,
                            chunk.first_group,
                            chunk.n_groups,
                            s.tile_edges,
                            matrix(s.op.matrix),
                            radial(s.op.radial),
                            s.weights,
                            value(s.op.source.value),
                            value(s.op.center.value),
                            value(s.op.out),
                            attention_[static_cast<std::size_t>(s.index)],
                            adj(s.op.out),
                            adjoints,
                            s.op.center.adjoint,
                            adj_matrix(s.op.matrix),
                            adj_distance_);
        });
  }

  /// Calls kernel(chunk, where the adjoints of messages go), and brings those of sources to their owners.
  template <class Kernel> void adjoint_along_edges(const plan::Input& source,
                                                   const Rows<Scalar>& adj_center,
                                                   const Kernel& kernel) {
    const Rows<Scalar> adj_source = adj(source.value);
    clear<S>(space_,
             adj_source,
             source.adjoint == plan::Write::Overwrite ? 0 : edges_.n_centers,
             edges_.n_nodes);
    MessageAdjoints<S> adjoints{adj_center, adj_source, gather_ ? messages_.data() : nullptr, 0};
    for (const auto& chunk : schedule_.chunks) {
      adjoints.first_edge = chunk.first_edge;
      kernel(chunk, adjoints);
      gather(chunk, adjoints);
    }
    exchange_reverse(adj_source);
  }

  /// Brings a chunk's messages to their sources.
  void gather(const EdgeSchedule::Chunk& chunk, const MessageAdjoints<S>& adjoints) {
    if (gather_) {
      segments_.first_segment = chunk.first_segment;
      segments_.n_segments = chunk.n_segments;
      gather_messages(space_, edges_, segments_, adjoints);
    }
  }

  void forward(const BlockLinearStage<S>& s, Outputs&) {
    for (const DeviceBlockMap<S>& map : s.maps) {
      const Rows<Scalar> in = block(s.op.in.value, map.in, false);
      const Rows<Scalar> out = block(s.op.out, map.out, false);
      const Rows<Scalar> residual = s.op.residual.value == plan::kNoValue
                                        ? Rows<Scalar>{}
                                        : block(s.op.residual.value, map.out, false);
      if (s.op.per_species) {
        species_linear(space_,
                       "eqnn::species_linear",
                       edges_,
                       map.weights.weight,
                       map.size,
                       in,
                       out,
                       plan::Write::Overwrite);
        if (residual.data != nullptr) {
          add_block<S>(space_, edges_.n_centers, residual, out, plan::Write::Add);
        }
      } else {
        linear(space_, edges_, map.weights, in, residual, out);
      }
    }
  }

  void adjoint(const BlockLinearStage<S>& s) {
    const plan::Write write = s.op.in.adjoint;
    const auto n_blocks = static_cast<std::int32_t>(plan_.value(s.op.in.value).blocks.size());
    for (std::int32_t b = 0; write == plan::Write::Overwrite && b < n_blocks; ++b) {
      const auto reads = [b](const DeviceBlockMap<S>& map) { return map.in == b; };
      if (std::none_of(s.maps.begin(), s.maps.end(), reads)) {
        clear_block<S>(space_, edges_.n_centers, block(s.op.in.value, b, true));
      }
    }
    for (const DeviceBlockMap<S>& map : s.maps) {
      const Rows<Scalar> adj_out = block(s.op.out, map.out, true);
      const Rows<Scalar> adj_in = block(s.op.in.value, map.in, true);
      if (s.op.per_species) {
        species_linear(space_,
                       "eqnn::species_linear_adjoint",
                       edges_,
                       map.weights.adjoint,
                       map.adjoint_size,
                       adj_out,
                       adj_in,
                       write);
      } else {
        linear_adjoint(space_, edges_.n_centers, map.weights, adj_out, adj_in, write);
      }
    }
    if (s.op.residual.value != plan::kNoValue) {
      add_adjoint<S>(
          space_, edges_.n_centers, adj(s.op.out), adj(s.op.residual.value), s.op.residual.adjoint);
    }
  }

  void forward(const EdgeProductStage<S>& s, Outputs&) {
    exchange_forward(value(s.op.source.value));
    edge_product(space_,
                 edges_,
                 s.product,
                 radial(s.op.radial),
                 harmonics_,
                 value(s.op.source.value),
                 value(s.op.out));
  }

  void adjoint(const EdgeProductStage<S>& s) {
    adjoint_along_edges(
        s.op.source, {}, [&](const EdgeSchedule::Chunk& chunk, const auto& adjoints) {
          edge_product_adjoint(space_,
                               edges_,
                               chunk.first_group,
                               chunk.n_groups,
                               s.product,
                               radial(s.op.radial),
                               harmonics_,
                               value(s.op.source.value),
                               adj(s.op.out),
                               adjoints,
                               adj_harmonics_,
                               adj_distance_);
        });
  }

  void forward(const ZonalProductStage<S>& s, Outputs&) {
    exchange_forward(value(s.op.source.value));
    zonal_product(
        space_, edges_, s.product, radial(s.op.radial), value(s.op.source.value), value(s.op.out));
  }

  void adjoint(const ZonalProductStage<S>& s) {
    adjoint_along_edges(
        s.op.source, {}, [&](const EdgeSchedule::Chunk& chunk, const auto& adjoints) {
          zonal_product_adjoint(space_,
                                edges_,
                                chunk.first_group,
                                chunk.n_groups,
                                s.product,
                                radial(s.op.radial),
                                value(s.op.source.value),
                                adj(s.op.out),
                                adjoints,
                                adj_harmonics_,
                                adj_distance_);
        });
  }

  void forward(const BlockGateStage<S>& s, Outputs&) {
    for (const plan::GateRow& row : s.op.rows) {
      block_gate<S>(space_, edges_.n_centers, gate_rows(s.op, row));
    }
  }

  void adjoint(const BlockGateStage<S>& s) {
    if (s.op.in.adjoint == plan::Write::Overwrite) {
      clear<S>(space_, adj(s.op.in.value), 0, edges_.n_centers);
    }
    for (const plan::GateRow& row : s.op.rows) {
      block_gate_adjoint<S>(space_,
                            edges_.n_centers,
                            gate_rows(s.op, row),
                            block(s.op.out, row.out, true),
                            block(s.op.in.value, row.in, true),
                            gates_of(s.op, row, true));
    }
  }

  /// The gates of a row, of the value or of its adjoint.
  Rows<Scalar>
  gates_of(const plan::BlockGate& op, const plan::GateRow& row, bool of_adjoint) const {
    if (row.gate < 0) {
      return {};
    }
    Rows<Scalar> gates = block(op.in.value, row.gate, of_adjoint);
    gates.data += row.channel;
    return gates;
  }

  GateRows<Scalar> gate_rows(const plan::BlockGate& op, const plan::GateRow& row) const {
    return {block(op.in.value, row.in, false),
            block(op.out, row.out, false),
            gates_of(op, row, false),
            row.channels,
            row.function};
  }

  void forward(const RmsNormStage<S>& s, Outputs&) {
    rms_norm(space_, edges_.n_centers, s.norm, value(s.op.in.value), value(s.op.out));
  }

  void adjoint(const RmsNormStage<S>& s) {
    rms_norm_adjoint(space_,
                     edges_.n_centers,
                     s.norm,
                     value(s.op.in.value),
                     adj(s.op.out),
                     adj(s.op.in.value),
                     s.op.in.adjoint);
  }

  void forward(const PolynomialStage<S>& s, Outputs&) {
    polynomial(space_, edges_, s.polynomial, value(s.op.in.value), value(s.op.out));
  }

  void adjoint(const PolynomialStage<S>& s) {
    polynomial_adjoint(space_,
                       edges_,
                       s.polynomial,
                       value(s.op.in.value),
                       adj(s.op.out),
                       adj(s.op.in.value),
                       s.op.in.adjoint);
  }

  void forward(const SphereProductStage<S>& s, Outputs&) {
    sphere_product(space_,
                   edges_.n_centers,
                   s.product,
                   value(s.op.a.value),
                   value(s.op.b.value),
                   value(s.op.out));
  }

  void adjoint(const SphereProductStage<S>& s) {
    sphere_product_adjoint(space_,
                           edges_.n_centers,
                           s.product,
                           value(s.op.a.value),
                           value(s.op.b.value),
                           adj(s.op.out),
                           adj(s.op.a.value),
                           s.op.a.adjoint,
                           adj(s.op.b.value),
                           s.op.b.adjoint);
  }

  void forward(const SpherePowerStage<S>& s, Outputs&) {
    sphere_power(space_, edges_, s.power, value(s.op.in.value), value(s.op.out));
  }

  void adjoint(const SpherePowerStage<S>& s) {
    sphere_power_adjoint(space_,
                         edges_,
                         s.power,
                         value(s.op.in.value),
                         adj(s.op.out),
                         adj(s.op.in.value),
                         s.op.in.adjoint);
  }

  void forward(const RepulsionStage<S>& s, Outputs&) {
    repulsion(space_, edges_, s.repulsion, energy_);
  }

  void adjoint(const RepulsionStage<S>& s) {
    repulsion_adjoint(space_, edges_, s.repulsion, seed_, adj_distance_);
  }

  void forward(const ReadoutStage<S>& s, Outputs&) {
    readout(space_, edges_.n_centers, s.weights, value(s.op.in.value), energy_);
  }

  void adjoint(const ReadoutStage<S>& s) {
    readout_adjoint(space_,
                    edges_.n_centers,
                    s.weights,
                    seed_,
                    value(s.op.in.value),
                    adj(s.op.in.value),
                    s.op.in.adjoint);
  }

  void forward(const DirectForcesStage<S>& s, Outputs& outputs) {
    collect_direct_forces(value(s.op.in.value), outputs);
  }

  void adjoint(const DirectForcesStage<S>&) {}

  // ---- where things are ----

  const Array<S, Scalar>& matrix(std::int32_t k) const {
    return matrices_[static_cast<std::size_t>(k)];
  }

  const Array<S, Scalar>& adj_matrix(std::int32_t k) const {
    return adj_matrices_[static_cast<std::size_t>(k)];
  }

  const DeviceRadial<S>& radial(std::int32_t k) const {
    return plan_.radials[static_cast<std::size_t>(k)];
  }

  static int degree_of(std::int32_t components) {
    int l = 0;
    while ((l + 1) * (l + 1) < components) {
      ++l;
    }
    return l;
  }

  int harmonics_l_max() const { return degree_of(plan_.plan.harmonics); }

  int harmonics_stride() const { return padded_channels<Scalar>(plan_.plan.harmonics); }

  Rows<Scalar> rows(plan::ValueId v, bool of_adjoint) const {
    if (v == plan::kNoValue) {
      return {};
    }
    const plan::NodeValue& info = plan_.value(v);
    const auto buffer = static_cast<std::size_t>(of_adjoint ? info.adjoint_buffer : info.buffer);
    const plan::Block& first = info.blocks.front();
    return {buffers_[buffer].data(),
            info.components,
            first.channels,
            DevicePlan<S>::stride_of(first),
            plan_.pitch_of(v)};
  }

  /// The rows of one block of a value, or of its adjoint.
  Rows<Scalar> block(plan::ValueId v, std::int32_t b, bool of_adjoint) const {
    const plan::Block& info = plan_.block(v, b);
    return block_rows(rows(v, of_adjoint),
                      plan_.first_of(v, b),
                      info.components,
                      info.channels,
                      DevicePlan<S>::stride_of(info));
  }

  Rows<Scalar> value(plan::ValueId v) const { return rows(v, false); }

  Rows<Scalar> adj(plan::ValueId v) const { return rows(v, true); }

  // ---- edges in, energies and gradients out ----

  void bring_edges(const EdgeList& edges) {
    edges_.n_centers = edges.n_centers;
    edges_.n_nodes = edges.n_nodes;
    edges_.n_edges = edges.n_edges();
    const auto message_bytes =
        static_cast<std::int64_t>(sizeof(Scalar)) * std::max(plan_.widest_message, 1);
    schedule_.build(edges,
                    kMostTileEdges / 2,
                    gather_ ? static_cast<std::int64_t>(kMessageBytes) / message_bytes
                            : edges_.n_edges,
                    gather_);
    edges_.n_groups = schedule_.n_groups();
    edges_.begin = begin_.bring(space_, "eqnn::edges::begin", edges.begin);
    edges_.source = source_.bring(space_, "eqnn::edges::source", edges.source);
    edges_.center = center_.bring(space_, "eqnn::edges::center", schedule_.center);
    edges_.species = species_.bring(space_, "eqnn::edges::species", edges.species);
    edges_.vector = vector_.bring(space_, "eqnn::edges::vector", edges.vector);
    edges_.group = group_.bring(space_, "eqnn::edges::group", schedule_.group);
    if (gather_) {
      segments_.begin =
          segment_begin_.bring(space_, "eqnn::edges::segment_begin", schedule_.segment_begin);
      segments_.edge =
          segment_edge_.bring(space_, "eqnn::edges::segment_edge", schedule_.segment_edge);
      reserve(messages_, "eqnn::messages", schedule_.longest_chunk(edges) * plan_.widest_message);
      poison(space_, messages_);
    }

    reserve(distance_, "eqnn::distance", edges_.n_edges);
    reserve(adj_distance_, "eqnn::adj_distance", edges_.n_edges);
    reserve(gradient_, "eqnn::gradient", 3 * edges_.n_edges);
    reserve(energy_, "eqnn::energy", edges_.n_centers);
    reserve(seed_, "eqnn::seed", edges_.n_centers);
    edges_.distance = distance_;
    matrices_.resize(plan_.couplings.size());
    adj_matrices_.resize(plan_.couplings.size());
    for (std::size_t k = 0; k < plan_.couplings.size(); ++k) {
      const std::int64_t entries =
          edges_.n_edges * plan_.couplings[k].components * plan_.couplings[k].components;
      reserve(matrices_[k], "eqnn::matrix", entries);
      reserve(adj_matrices_[k], "eqnn::adj_matrix", entries);
      poison(space_, matrices_[k]);
      poison(space_, adj_matrices_[k]);
    }
    if (plan_.plan.harmonics > 0) {
      reserve(harmonics_, "eqnn::harmonics", edges_.n_edges * harmonics_stride());
      reserve(adj_harmonics_, "eqnn::adj_harmonics", edges_.n_edges * harmonics_stride());
      poison(space_, harmonics_);
      poison(space_, adj_harmonics_);
    }
    buffers_.resize(plan_.plan.buffers.size());
    for (std::size_t k = 0; k < buffers_.size(); ++k) {
      const plan::Buffer& buffer = plan_.plan.buffers[k];
      reserve(buffers_[k],
              "eqnn::features",
              buffer.width * (buffer.on_ghosts ? edges_.n_nodes : edges_.n_centers));
      poison(space_, buffers_[k]);
    }
    attention_.resize(static_cast<std::size_t>(plan_.n_attentions));
    for (const auto& stage : plan_.stages) {
      if (const auto* s = std::get_if<AttentionStage<S>>(&stage)) {
        auto& array = attention_[static_cast<std::size_t>(s->index)];
        reserve(array, "eqnn::attention_shares", edges_.n_edges * s->weights.heads);
        poison(space_, array);
      }
    }
  }

  void check_distances(const EdgeList& edges) {
    if (distances(space_, edges_) > 0) {
      require_sound_edges(edges);
    }
  }

  /// The first n numbers, on the host.
  static void collect(const Array<S, double>& from, std::int64_t n, std::vector<double>& to) {
    to.resize(static_cast<std::size_t>(n));
    Kokkos::deep_copy(HostView<double>(to.data(), to.size()),
                      Kokkos::subview(from, std::make_pair(std::size_t{0}, to.size())));
  }

  /// Rows l = 1 of a single channel are (x, y, z) in e3nn's axes.
  void collect_direct_forces(const Rows<Scalar>& forces, Outputs& outputs) {
    outputs.direct_forces.resize(3 * static_cast<std::size_t>(edges_.n_centers));
    Kokkos::View<const Scalar*, typename S::Memory> device(
        forces.data,
        static_cast<std::size_t>(edges_.n_centers) * static_cast<std::size_t>(forces.width()));
    const auto host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), device);
    for (std::size_t i = 0; i < static_cast<std::size_t>(edges_.n_centers); ++i) {
      for (std::size_t a = 0; a < 3; ++a) {
        const std::size_t at = i * static_cast<std::size_t>(forces.width()) +
                               (1 + a) * static_cast<std::size_t>(forces.stride);
        outputs.direct_forces[3 * i + a] = static_cast<double>(host(at));
      }
    }
  }

  void clear_edge_adjoints() {
    Kokkos::deep_copy(space_, adj_distance_, Accum(0));
    for (const auto& array : adj_matrices_) {
      Kokkos::deep_copy(space_, array, Scalar(0));
    }
    Kokkos::deep_copy(space_, adj_harmonics_, Scalar(0));
  }

  void exchange_forward(const Rows<Scalar>& x) {
    exchange(x, [&](NodeRows<Scalar> host) { halo_->forward(host); });
  }

  void exchange_reverse(const Rows<Scalar>& x) {
    exchange(x, [&](NodeRows<Scalar> host) { halo_->reverse(host); });
  }

  template <class Move> void exchange(const Rows<Scalar>& x, const Move& move) {
    space_.fence("eqnn::exchange");
    Kokkos::View<Scalar*, typename S::Memory> device(
        x.data, static_cast<std::size_t>(edges_.n_nodes) * static_cast<std::size_t>(x.width()));
    const auto host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), device);
    move(NodeRows<Scalar>{host.data(), x.width()});
    Kokkos::deep_copy(device, host);
  }

  typename S::Exec space_;
  DevicePlan<S> plan_;
  bool gather_; ///< several threads: messages wait in a buffer, and each source gathers its own
  HaloExchange* halo_ = nullptr;

  EdgeSchedule schedule_;
  DeviceEdges<S> edges_;
  SourceSegments<S> segments_;
  Mirror<S, std::int64_t> begin_, segment_begin_, segment_edge_;
  Mirror<S, std::int32_t> source_, center_, species_, group_;
  Mirror<S, double> vector_;
  Array<S, double> distance_, energy_, seed_, gradient_;
  Array<S, Accum> adj_distance_;
  Array<S, Scalar> messages_, harmonics_, adj_harmonics_;
  std::vector<Array<S, Scalar>> buffers_, matrices_, adj_matrices_;
  std::vector<Array<S, Accum>> attention_;
};

} // namespace eqnn::kernels
