// SPDX-License-Identifier: BSD-3-Clause
// A stage's view of an evaluation: the edges, the rows of values and of their adjoints, and the
// quantities computed per edge. The arrays behind it grow and are kept.
#pragma once

#include "kernels/device_edges.hpp"
#include "kernels/rows.hpp"
#include "kernels/tables.hpp"
#include "kernels/workspace.hpp"

#include <algorithm>
#include <vector>

namespace eqnn::kernels {

template <class S> class Context {
public:
  using Scalar = typename S::Scalar;
  using Accum = typename S::Accum;

  Context(const DeviceTables<S>& tables, std::vector<plan::Buffer> buffers)
      : tables_(tables)
      , buffer_sizes_(std::move(buffers))
      , gather_(!S::kOnHost || space_.concurrency() > 1) {}

  const typename S::Exec& space() const { return space_; }

  const DeviceTables<S>& tables() const { return tables_; }

  const DeviceEdges<S>& edges() const { return edges_; }

  std::int32_t n_centers() const { return edges_.n_centers; }

  // ---- rows of nodes ----

  Rows<Scalar> value(plan::ValueId v) const { return rows(v, false); }

  Rows<Scalar> value(const plan::Input& in) const { return rows(in.value, false); }

  Rows<Scalar> adjoint(plan::ValueId v) const { return rows(v, true); }

  Rows<Scalar> adjoint(const plan::Input& in) const { return rows(in.value, true); }

  /// The rows of n consecutive blocks of a value, all with the same number of channels.
  Rows<Scalar> value_blocks(plan::ValueId v, std::int32_t first, std::int32_t n = 1) const {
    return blocks(v, first, n, false);
  }

  Rows<Scalar> adjoint_blocks(plan::ValueId v, std::int32_t first, std::int32_t n = 1) const {
    return blocks(v, first, n, true);
  }

  AdjointRows<Scalar> adjoint_rows(const plan::Input& in, plan::ValueId out) const {
    return {
        value(in), out == plan::kNoValue ? Rows<Scalar>{} : adjoint(out), adjoint(in), in.adjoint};
  }

  // ---- quantities per edge ----

  const DeviceRadial<S>& radial(std::int32_t k) const {
    return tables_.radials[static_cast<std::size_t>(k)];
  }

  /// [n_edges, d, d]
  const Array<S, Scalar>& matrix(std::int32_t k) const {
    return matrices_[static_cast<std::size_t>(k)];
  }

  const Array<S, Scalar>& adj_matrix(std::int32_t k) const {
    return adj_matrices_[static_cast<std::size_t>(k)];
  }

  /// [n_edges, harmonics_stride]
  const Array<S, Scalar>& harmonics() const { return harmonics_; }

  const Array<S, Scalar>& adj_harmonics() const { return adj_harmonics_; }

  /// If DeviceTables::tangents is set: dY/d(edge vector) along the tangents of the sphere,
  /// [n_edges, 2, harmonics_stride], and dE/d(a step along them), [n_edges, 2]. Stages add to the
  /// latter.
  const Array<S, Scalar>& tangents() const { return tangents_; }

  const Array<S, Accum>& adj_tangents() const { return adj_tangents_; }

  /// [n_edges]; stages add to it.
  const Array<S, Accum>& adj_distance() const { return adj_distance_; }

  /// What a stage keeps for its adjoint: [n_edges, width]. See DeviceTables::keep_on_edges().
  const Array<S, Accum>& kept_on_edges(std::int32_t k) const {
    return kept_[static_cast<std::size_t>(k)];
  }

  // ---- energies ----

  /// [n_centers]; stages add to it.
  const Array<S, double>& energy() const { return energy_; }

  /// [n_centers] dE/d(energy of the network)
  const Array<S, double>& seed() const { return seed_; }

  /// [n_centers, 3] for a network that predicts forces
  std::vector<double>& direct_forces() const { return *direct_forces_; }

  /// Host buffer for exchanging the rows of a device's value, large enough for any value.
  const Kokkos::View<Scalar*, typename S::HostCopy>& halo_rows() const { return halo_rows_; }

  // ---- adjoints along edges ----

  /// Calls kernel(chunk, adjoints), where `adjoints` says where adjoints of messages go, and adds
  /// the messages to the rows of their sources on this rank. Ghost rows are sent to their owners
  /// after the stage.
  template <class Kernel> void adjoint_along_edges(const plan::Input& source,
                                                   const Rows<Scalar>& adj_center,
                                                   const Kernel& kernel) const {
    const Rows<Scalar> adj_source = adjoint(source);
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
  }

  // ---- for the evaluator ----

  /// Brings the edges of a step to the device and makes room for everything computed from them.
  void bring(const EdgeList& edges) {
    edges_.n_centers = edges.n_centers;
    edges_.n_nodes = edges.n_nodes;
    edges_.n_edges = edges.n_edges();
    make_schedule(edges);
    edges_.begin = begin_.bring(space_, "eqnn::edges::begin", edges.begin);
    edges_.source = source_.bring(space_, "eqnn::edges::source", edges.source);
    edges_.center = center_.bring(space_, "eqnn::edges::center", schedule_.center);
    edges_.species = species_.bring(space_, "eqnn::edges::species", edges.species);
    edges_.vector = vector_.bring(space_, "eqnn::edges::vector", edges.vector);
    reserve_geometry();
    reserve_features();
  }

  /// The same from a neighbor list that is already on the device. Returns the number of non-finite
  /// coordinates among the centers.
  std::int32_t bring(const NeighborsOnDevice& list) {
    const std::int32_t n_bad = built_.build(space_, list);
    edges_.n_centers = list.n_centers;
    edges_.n_nodes = list.n_nodes;
    edges_.n_edges = built_.n_edges();
    seen_.look(space_, list, built_);
    make_schedule(seen_);
    const auto n_edges = static_cast<std::size_t>(edges_.n_edges);
    edges_.begin = built_.begin();
    edges_.source = Array<S, const std::int32_t>(built_.source().data(), n_edges);
    edges_.center = Array<S, const std::int32_t>(built_.center().data(), n_edges);
    edges_.vector = Array<S, const double>(built_.vector().data(), 3 * n_edges);
    edges_.species =
        Array<S, const std::int32_t>(list.species, static_cast<std::size_t>(list.n_nodes));
    reserve_geometry();
    reserve_features();
    return n_bad;
  }

  /// Calls use(segments) for each chunk, with its edges ordered by source. Calls it once with null
  /// if one thread works alone.
  template <class Use> void for_source_segments(const Use& use) const {
    if (!gather_) {
      use(static_cast<const SourceSegments<S>*>(nullptr));
      return;
    }
    for (const auto& chunk : schedule_.chunks) {
      const SourceSegments<S> segments = segments_of(chunk);
      use(&segments);
    }
  }

  /// Computes the distances. Returns whether any edge is too short or not finite.
  bool has_bad_edges() const { return distances(space_, edges_) > 0; }

  /// Computes everything that depends on the edges alone, and sets energies to 0.
  void begin_forward(std::vector<double>& direct_forces) {
    direct_forces_ = &direct_forces;
    for (std::size_t k = 0; k < tables_.couplings.size(); ++k) {
      edge_matrices(space_, edges_, tables_.harmonics, tables_.couplings[k], matrices_[k]);
    }
    if (tables_.n_harmonics > 0) {
      edge_harmonics(space_, edges_, tables_.harmonics, harmonics_layout(), harmonics_);
    }
    Kokkos::deep_copy(space_, energy_, 0.0);
  }

  void begin_adjoint() {
    Kokkos::deep_copy(space_, adj_distance_, Accum(0));
    for (const auto& array : adj_matrices_) {
      Kokkos::deep_copy(space_, array, Scalar(0));
    }
    Kokkos::deep_copy(space_, adj_harmonics_, Scalar(0));
    if (has_tangents()) {
      edge_tangents(space_, edges_, tables_.harmonics, harmonics_layout(), tangents_);
      Kokkos::deep_copy(space_, adj_tangents_, Accum(0));
    }
  }

  /// dE/d(edge vector), [n_edges, 3], from the adjoints that the stages left.
  const Array<S, double>& end_adjoint() {
    distances_adjoint(space_, edges_, adj_distance_, gradient_);
    for (std::size_t k = 0; k < tables_.couplings.size(); ++k) {
      edge_matrices_adjoint(
          space_, edges_, tables_.harmonics, tables_.couplings[k], adj_matrices_[k], gradient_);
    }
    if (tables_.n_harmonics > 0) {
      edge_harmonics_adjoint(
          space_, edges_, tables_.harmonics, harmonics_layout(), adj_harmonics_, gradient_);
    }
    if (has_tangents()) {
      edge_tangents_adjoint(space_, edges_, adj_tangents_, gradient_);
    }
    return gradient_;
  }

  /// Scalars of the widest message that waits for its source.
  void set_widest_message(std::int32_t width) { widest_message_ = width; }

  std::size_t bytes_used() const {
    std::size_t total = tables_.bytes + bytes_of(distance_) + bytes_of(energy_) + bytes_of(seed_) +
                        bytes_of(adj_distance_) + bytes_of(gradient_) + bytes_of(messages_) +
                        bytes_of(harmonics_) + bytes_of(adj_harmonics_) + bytes_of(halo_rows_) +
                        bytes_of(tangents_) + bytes_of(adj_tangents_) + begin_.bytes() +
                        source_.bytes() + center_.bytes() + species_.bytes() + vector_.bytes() +
                        group_.bytes() + segment_begin_.bytes() + segment_edge_.bytes() +
                        built_.bytes() + seen_.bytes();
    for (const auto* arrays : {&buffers_, &matrices_, &adj_matrices_}) {
      for (const auto& array : *arrays) {
        total += bytes_of(array);
      }
    }
    for (const auto& array : kept_) {
      total += bytes_of(array);
    }
    return total;
  }

private:
  Rows<Scalar> rows(plan::ValueId v, bool of_adjoint) const {
    if (v == plan::kNoValue) {
      return {};
    }
    const plan::NodeValue& info = tables_.value(v);
    const auto buffer = static_cast<std::size_t>(of_adjoint ? info.adjoint_buffer : info.buffer);
    const plan::Block& first = info.blocks.front();
    return {buffers_[buffer].data(),
            info.components,
            first.channels,
            DeviceTables<S>::stride_of(first),
            tables_.pitch_of(v)};
  }

  Rows<Scalar> blocks(plan::ValueId v, std::int32_t first, std::int32_t n, bool of_adjoint) const {
    const plan::Block& info = tables_.block(v, first);
    Rows<Scalar> part = block_rows(rows(v, of_adjoint),
                                   tables_.first_of(v, first),
                                   info.components,
                                   info.channels,
                                   DeviceTables<S>::stride_of(info));
    for (std::int32_t k = 1; k < n; ++k) {
      part.components += tables_.block(v, first + k).components;
    }
    return part;
  }

  bool has_tangents() const { return tables_.tangents; }

  HarmonicsLayout harmonics_layout() const {
    return {degree_of(tables_.n_harmonics - 1), tables_.harmonics_stride()};
  }

  /// Adds a chunk's messages to the rows of their sources.
  void gather(const EdgeSchedule::Chunk& chunk, const MessageAdjoints<S>& adjoints) const {
    if (gather_) {
      gather_messages(space_, edges_, segments_of(chunk), adjoints);
    }
  }

  SourceSegments<S> segments_of(const EdgeSchedule::Chunk& chunk) const {
    SourceSegments<S> segments = segments_;
    segments.first_segment = chunk.first_segment;
    segments.n_segments = chunk.n_segments;
    return segments;
  }

  /// Builds the groups and chunks of edges_, and makes room for a chunk's messages.
  template <class Edges> void make_schedule(const Edges& edges) {
    const auto message_bytes =
        static_cast<std::int64_t>(sizeof(Scalar)) * std::max(widest_message_, 1);
    schedule_.build(
        edges,
        kMostTileEdges / 2,
        gather_ ? static_cast<std::int64_t>(S::kOnHost ? kMessageBytes : kDeviceMessageBytes) /
                      message_bytes
                : edges_.n_edges,
        gather_);
    edges_.n_groups = schedule_.n_groups();
    edges_.group = group_.bring(space_, "eqnn::edges::group", schedule_.group);
    if (gather_) {
      segments_.begin =
          segment_begin_.bring(space_, "eqnn::edges::segment_begin", schedule_.segment_begin);
      segments_.edge =
          segment_edge_.bring(space_, "eqnn::edges::segment_edge", schedule_.segment_edge);
      reserve(messages_, "eqnn::messages", schedule_.longest_chunk(edges) * widest_message_);
      poison(space_, messages_);
    }
  }

  void reserve_geometry() {
    reserve(distance_, "eqnn::distance", edges_.n_edges);
    reserve(adj_distance_, "eqnn::adj_distance", edges_.n_edges);
    reserve(gradient_, "eqnn::gradient", 3 * edges_.n_edges);
    reserve(energy_, "eqnn::energy", edges_.n_centers);
    reserve(seed_, "eqnn::seed", edges_.n_centers);
    edges_.distance = distance_;
    matrices_.resize(tables_.couplings.size());
    adj_matrices_.resize(tables_.couplings.size());
    for (std::size_t k = 0; k < tables_.couplings.size(); ++k) {
      const std::int64_t entries =
          edges_.n_edges * tables_.couplings[k].components * tables_.couplings[k].components;
      reserve(matrices_[k], "eqnn::matrix", entries);
      reserve(adj_matrices_[k], "eqnn::adj_matrix", entries);
      poison(space_, matrices_[k]);
      poison(space_, adj_matrices_[k]);
    }
    if (tables_.n_harmonics > 0) {
      reserve(harmonics_, "eqnn::harmonics", edges_.n_edges * tables_.harmonics_stride());
      reserve(adj_harmonics_, "eqnn::adj_harmonics", edges_.n_edges * tables_.harmonics_stride());
      poison(space_, harmonics_);
      poison(space_, adj_harmonics_);
    }
    if (has_tangents()) {
      reserve(tangents_, "eqnn::tangents", 2 * edges_.n_edges * tables_.harmonics_stride());
      reserve(adj_tangents_, "eqnn::adj_tangents", 2 * edges_.n_edges);
      poison(space_, tangents_);
      poison(space_, adj_tangents_);
    }
  }

  void reserve_features() {
    buffers_.resize(buffer_sizes_.size());
    for (std::size_t k = 0; k < buffers_.size(); ++k) {
      const plan::Buffer& buffer = buffer_sizes_[k];
      reserve(buffers_[k],
              "eqnn::features",
              buffer.width * (buffer.on_ghosts ? edges_.n_nodes : edges_.n_centers));
      poison(space_, buffers_[k]);
      if (!S::kOnHost && buffer.on_ghosts) {
        reserve(halo_rows_, "eqnn::halo_rows", buffer.width * edges_.n_nodes);
      }
    }
    kept_.resize(tables_.kept_widths.size());
    for (std::size_t k = 0; k < kept_.size(); ++k) {
      reserve(kept_[k], "eqnn::kept_on_edges", edges_.n_edges * tables_.kept_widths[k]);
      poison(space_, kept_[k]);
    }
  }

  typename S::Exec space_;
  const DeviceTables<S>& tables_;
  std::vector<plan::Buffer> buffer_sizes_;
  bool gather_; ///< several threads: messages wait in a buffer, and each source gathers its own
  std::int32_t widest_message_ = 0;
  std::vector<double>* direct_forces_ = nullptr;

  EdgeSchedule schedule_;
  EdgesFromNeighbors<S> built_;
  EdgesSeenByHost<S> seen_;
  DeviceEdges<S> edges_;
  SourceSegments<S> segments_;
  Mirror<S, std::int64_t> begin_, segment_begin_, segment_edge_;
  Mirror<S, std::int32_t> source_, center_, species_, group_;
  Mirror<S, double> vector_;
  Array<S, double> distance_, energy_, seed_, gradient_;
  Array<S, Accum> adj_distance_, adj_tangents_;
  Array<S, Scalar> messages_, harmonics_, adj_harmonics_, tangents_;
  std::vector<Array<S, Scalar>> buffers_, matrices_, adj_matrices_;
  std::vector<Array<S, Accum>> kept_;
  Kokkos::View<Scalar*, typename S::HostCopy> halo_rows_;
};

} // namespace eqnn::kernels
