// SPDX-License-Identifier: BSD-3-Clause
// Memory that grows and is then kept, so that a warm step allocates nothing. Also the edges of a
// step, brought to the device.
#pragma once

#include "base/edge_list.hpp"
#include "kernels/types.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

namespace eqnn::kernels {

/// Makes room for n elements plus a fifth to spare. Does not keep the contents.
template <class View> void reserve(View& view, const char* label, std::int64_t n) {
  if (static_cast<std::int64_t>(view.extent(0)) < n || !view.is_allocated()) {
    view = View(); // free first: old and new may not fit in memory together
    view = allocate<View>(label, static_cast<std::size_t>(n + n / 5 + 1));
  }
}

template <class View> std::size_t bytes_of(const View& view) {
  return view.extent(0) * sizeof(typename View::value_type);
}

/// In debug builds, memory read before it is written must not pass for a plausible number.
template <class Exec, class View>
void poison([[maybe_unused]] const Exec& space, [[maybe_unused]] const View& view) {
#ifdef EQNN_POISON
  Kokkos::deep_copy(space, view, std::numeric_limits<typename View::value_type>::quiet_NaN());
#endif
}

/// A host vector on the device; the vector itself if the device is the host.
template <class S, class T> class Mirror {
public:
  /// Allocates memory for n elements ahead of `bring`.
  void reserve_for([[maybe_unused]] const char* label, [[maybe_unused]] std::size_t n) {
    if constexpr (!S::kOnHost) {
      reserve(copy_, label, static_cast<std::int64_t>(n));
    }
  }

  Array<S, const T>
  bring(const typename S::Exec& space, const char* label, const std::vector<T>& values) {
    return bring(space, label, values.data(), values.size());
  }

  Array<S, const T>
  bring(const typename S::Exec& space, const char* label, const T* values, std::size_t n) {
    if constexpr (S::kOnHost) {
      static_cast<void>(space);
      static_cast<void>(label);
      return Array<S, const T>(values, n);
    } else {
      reserve(copy_, label, static_cast<std::int64_t>(n));
      const auto part = Kokkos::subview(copy_, std::make_pair(std::size_t{0}, n));
      Kokkos::deep_copy(space, part, Kokkos::View<const T*, Kokkos::HostSpace>(values, n));
      return part;
    }
  }

  std::size_t bytes() const { return bytes_of(copy_); }

private:
  Array<S, T> copy_;
};

/// Whether a center is the first of one of several structures. Call it for all centers in order.
class StructureStarts {
public:
  explicit StructureStarts(const EdgeList& edges)
      : starts_(&edges.structures) {}

  /// A neighbor list on the device holds a single structure.
  template <class Edges> explicit StructureStarts(const Edges& /*edges*/) {}

  bool operator()(std::int32_t center) {
    if (starts_ == nullptr) {
      return false;
    }
    while (next_ < starts_->size() && (*starts_)[next_] < center) {
      ++next_;
    }
    return next_ < starts_->size() && (*starts_)[next_] == center;
  }

private:
  const std::vector<std::int32_t>* starts_ = nullptr;
  std::size_t next_ = 0;
};

/// Groups of centers (one team each), chunks of groups (one round of messages each) and, with
/// several threads, the order in which messages are gathered. For the same arguments of build(), it
/// depends on the edges only, not on the number of threads.
class EdgeSchedule {
public:
  struct Chunk {
    std::int32_t first_group = 0, n_groups = 0;
    std::int64_t first_edge = 0;
    std::int32_t first_segment = 0, n_segments = 0;
  };

  /// group_edges: a group takes whole centers up to this many edges, or one center that has more.
  /// chunk_edges: the same for chunks of groups.
  /// Edges: EdgeList, or a type with the same n_centers, n_nodes, n_edges(), begin and source.
  template <class Edges>
  void build(const Edges& edges, std::int64_t group_edges, std::int64_t chunk_edges, bool gather) {
    center.resize(static_cast<std::size_t>(edges.n_edges()));
    group.clear();
    chunks.clear();
    segment_begin.clear();
    segment_edge.clear();
    group.push_back(0);
    // Sums over neighbors run over the tiles of a group. If no group mixes centers of two
    // structures, no sum depends on the structures packed beside its own.
    StructureStarts begins_structure(edges);
    for (std::int32_t i = 0; i < edges.n_centers; ++i) {
      const auto at = static_cast<std::size_t>(i);
      std::fill(center.begin() + edges.begin[at], center.begin() + edges.begin[at + 1], i);
      const std::int64_t n_open =
          edges.begin[at] - edges.begin[static_cast<std::size_t>(group.back())];
      if (i > group.back() && (n_open + edges.begin[at + 1] - edges.begin[at] > group_edges ||
                               i - group.back() >= kMostCentersOfGroup || begins_structure(i))) {
        group.push_back(i);
      }
    }
    if (edges.n_centers > 0) {
      group.push_back(edges.n_centers);
    }
    for (std::int32_t g = 0; g < n_groups(); ++g) {
      const std::int64_t begin =
          edges.begin[static_cast<std::size_t>(group[static_cast<std::size_t>(g)])];
      const std::int64_t end =
          edges.begin[static_cast<std::size_t>(group[static_cast<std::size_t>(g) + 1])];
      if (chunks.empty() || end - chunks.back().first_edge > chunk_edges) {
        chunks.push_back({g, 0, begin, 0, 0});
      }
      ++chunks.back().n_groups;
    }
    if (gather) {
      build_segments(edges);
    }
  }

  std::int32_t n_groups() const { return static_cast<std::int32_t>(group.size()) - 1; }

  template <class Edges> std::int64_t end_of(const Chunk& chunk, const Edges& edges) const {
    return edges.begin[static_cast<std::size_t>(
        group[static_cast<std::size_t>(chunk.first_group + chunk.n_groups)])];
  }

  template <class Edges> std::int64_t longest_chunk(const Edges& edges) const {
    std::int64_t longest = 0;
    for (const Chunk& chunk : chunks) {
      longest = std::max(longest, end_of(chunk, edges) - chunk.first_edge);
    }
    return longest;
  }

  std::vector<std::int32_t> center; ///< [n_edges]
  std::vector<std::int32_t> group;  ///< [n_groups + 1] first centers
  std::vector<Chunk> chunks;
  std::vector<std::int64_t> segment_begin, segment_edge;

private:
  static constexpr std::int32_t kMostCentersOfGroup = 64;

  template <class Edges> void build_segments(const Edges& edges) {
    for (Chunk& chunk : chunks) {
      chunk.first_segment = static_cast<std::int32_t>(segment_begin.size());
      const auto first = static_cast<std::ptrdiff_t>(segment_edge.size());
      segment_edge.resize(segment_edge.size() +
                          static_cast<std::size_t>(end_of(chunk, edges) - chunk.first_edge));
      const auto source_of = [&](std::int64_t e) {
        return edges.source[static_cast<std::size_t>(e)];
      };
      sort_by_source(edges, chunk.first_edge, segment_edge.data() + first, end_of(chunk, edges));
      for (auto k = static_cast<std::size_t>(first); k < segment_edge.size(); ++k) {
        if (k == static_cast<std::size_t>(first) ||
            source_of(segment_edge[k]) != source_of(segment_edge[k - 1])) {
          segment_begin.push_back(static_cast<std::int64_t>(k));
        }
      }
      chunk.n_segments = static_cast<std::int32_t>(segment_begin.size()) - chunk.first_segment;
    }
    segment_begin.push_back(static_cast<std::int64_t>(segment_edge.size()));
  }

  /// Writes the edges begin .. end - 1 ordered by source, and in increasing order within a source.
  template <class Edges> void
  sort_by_source(const Edges& edges, std::int64_t begin, std::int64_t* sorted, std::int64_t end) {
    const std::int32_t* const source = edges.source.data();
    if ((end - begin) * 16 < edges.n_nodes) { // few edges: counting all nodes takes longer
      std::iota(sorted, sorted + (end - begin), begin);
      std::sort(sorted, sorted + (end - begin), [&](std::int64_t a, std::int64_t b) {
        return std::pair(source[a], a) < std::pair(source[b], b);
      });
      return;
    }
    next_of_source_.assign(static_cast<std::size_t>(edges.n_nodes) + 1, 0);
    for (std::int64_t e = begin; e < end; ++e) {
      ++next_of_source_[static_cast<std::size_t>(source[e]) + 1];
    }
    std::partial_sum(next_of_source_.begin(), next_of_source_.end(), next_of_source_.begin());
    for (std::int64_t e = begin; e < end; ++e) {
      sorted[next_of_source_[static_cast<std::size_t>(source[e])]++] = e;
    }
  }

  std::vector<std::int64_t> next_of_source_;
};

} // namespace eqnn::kernels
