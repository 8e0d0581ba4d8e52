// SPDX-License-Identifier: BSD-3-Clause
// Edges from a neighbor list that is already on the device: count, scan, fill. Each center's edges
// are in the order of its neighbors, as a host loop over the list would make them.
#pragma once

#include "eqnn/on_device.hpp"
#include "kernels/workspace.hpp"

#include <utility>
#include <vector>

namespace eqnn::kernels {

/// Calls use(node of the neighbor, dx, dy, dz) for the neighbors of a center within the cutoff.
/// Non-finite positions are not skipped: they give a bad edge, which is detected later.
template <class Use> KOKKOS_FORCEINLINE_FUNCTION void
for_neighbors(const NeighborsOnDevice& list, std::int32_t center, const Use& use) {
  const std::int64_t i = list.atom_of_node[center];
  const double* const x = list.positions;
  const std::int64_t row = list.position_strides.row;
  const std::int64_t axis = list.position_strides.column;
  const double xi = x[i * row];
  const double yi = x[i * row + axis];
  const double zi = x[i * row + 2 * axis];
  const double cutoff_sq = list.cutoff * list.cutoff;
  const std::int32_t n = list.counts[i];
  for (std::int32_t k = 0; k < n; ++k) {
    const std::int64_t j =
        list.neighbors[i * list.neighbor_strides.row + k * list.neighbor_strides.column] &
        list.neighbor_mask;
    const double dx = x[j * row] - xi;
    const double dy = x[j * row + axis] - yi;
    const double dz = x[j * row + 2 * axis] - zi;
    const std::int32_t node = list.node_of_atom[j];
    if (node < 0 || dx * dx + dy * dy + dz * dz >= cutoff_sq) {
      continue;
    }
    use(node, dx, dy, dz);
  }
}

/// The edge arrays of a step, which grow and are kept.
template <class S> class EdgesFromNeighbors {
public:
  /// Returns the number of non-finite coordinates among the centers. The host reads only two of the
  /// numbers computed here.
  std::int32_t build(const typename S::Exec& space, const NeighborsOnDevice& list) {
    const std::int32_t n_centers = list.n_centers;
    reserve(begin_, "eqnn::edges::begin", std::int64_t{n_centers} + 1);
    const auto begin = begin_;
    std::int32_t n_bad = 0;
    Kokkos::parallel_reduce(
        "eqnn::edges::count",
        typename S::Range(space, 0, n_centers),
        KOKKOS_LAMBDA(std::int64_t c, std::int32_t& bad) {
          std::int64_t n = 0;
          for_neighbors(list,
                        static_cast<std::int32_t>(c),
                        [&](std::int32_t, double, double, double) { ++n; });
          begin(c) = n;
          const std::int64_t i = list.atom_of_node[c];
          for (int d = 0; d < 3; ++d) {
            const double x =
                list.positions[i * list.position_strides.row + d * list.position_strides.column];
            bad += Kokkos::isfinite(x) ? 0 : 1;
          }
        },
        n_bad);
    n_edges_ = 0;
    Kokkos::parallel_scan(
        "eqnn::edges::scan",
        typename S::Range(space, 0, std::int64_t{n_centers} + 1),
        KOKKOS_LAMBDA(std::int64_t c, std::int64_t& sum, bool is_final) {
          const std::int64_t n = c < n_centers ? begin(c) : 0;
          if (is_final) {
            begin(c) = sum;
          }
          sum += n;
        },
        n_edges_);
    reserve(source_, "eqnn::edges::source", n_edges_);
    reserve(center_, "eqnn::edges::center", n_edges_);
    reserve(vector_, "eqnn::edges::vector", 3 * n_edges_);
    const auto source = source_;
    const auto center = center_;
    const auto vector = vector_;
    Kokkos::parallel_for(
        "eqnn::edges::fill", typename S::Range(space, 0, n_centers), KOKKOS_LAMBDA(std::int64_t c) {
          std::int64_t e = begin(c);
          for_neighbors(list,
                        static_cast<std::int32_t>(c),
                        [&](std::int32_t node, double dx, double dy, double dz) {
                          source(e) = node;
                          center(e) = static_cast<std::int32_t>(c);
                          vector(3 * e) = dx;
                          vector(3 * e + 1) = dy;
                          vector(3 * e + 2) = dz;
                          ++e;
                        });
        });
    return n_bad;
  }

  std::int64_t n_edges() const { return n_edges_; }

  const Array<S, std::int64_t>& begin() const { return begin_; }

  const Array<S, std::int32_t>& source() const { return source_; }

  const Array<S, std::int32_t>& center() const { return center_; }

  const Array<S, double>& vector() const { return vector_; }

  std::size_t bytes() const {
    return bytes_of(begin_) + bytes_of(source_) + bytes_of(center_) + bytes_of(vector_);
  }

private:
  std::int64_t n_edges_ = 0;
  Array<S, std::int64_t> begin_;
  Array<S, std::int32_t> source_, center_;
  Array<S, double> vector_;
};

/// What the host divides into groups and chunks: the arrays themselves if the device is the host,
/// else copies.
template <class S> class EdgesSeenByHost {
public:
  template <class T> struct Numbers {
    const T* first = nullptr;

    const T* data() const { return first; }

    T operator[](std::size_t k) const { return first[k]; }
  };

  std::int32_t n_centers = 0;
  std::int32_t n_nodes = 0;
  Numbers<std::int64_t> begin;
  Numbers<std::int32_t> source;

  std::int64_t n_edges() const { return n_edges_; }

  std::size_t bytes() const {
    return begin_.capacity() * sizeof(std::int64_t) + source_.capacity() * sizeof(std::int32_t);
  }

  void look(const typename S::Exec& space,
            const NeighborsOnDevice& list,
            const EdgesFromNeighbors<S>& edges) {
    n_centers = list.n_centers;
    n_nodes = list.n_nodes;
    n_edges_ = edges.n_edges();
    begin.first = see(space, edges.begin(), std::int64_t{n_centers} + 1, begin_);
    source.first = see(space, edges.source(), n_edges_, source_);
    space.fence("eqnn::edges::look");
  }

private:
  template <class T> static const T* see(const typename S::Exec& space,
                                         const Array<S, T>& array,
                                         std::int64_t n,
                                         std::vector<T>& copy) {
    if constexpr (S::kOnHost) {
      return array.data();
    } else {
      copy.resize(static_cast<std::size_t>(n));
      Kokkos::deep_copy(space,
                        Kokkos::View<T*, Kokkos::HostSpace>(copy.data(), copy.size()),
                        Kokkos::subview(array, std::make_pair(std::int64_t{0}, n)));
      return copy.data();
    }
  }

  std::int64_t n_edges_ = 0;
  std::vector<std::int64_t> begin_;
  std::vector<std::int32_t> source_;
};

} // namespace eqnn::kernels
