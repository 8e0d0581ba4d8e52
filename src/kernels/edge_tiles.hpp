// SPDX-License-Identifier: BSD-3-Clause
// Stages that sum over neighbors. A team owns a group of centers and works through their edges in
// tiles that stay in cache. Per-edge data (messages, values, their adjoints) exists for one tile
// only and is recomputed in the adjoint. Memory does not grow with edges x components x channels.
#pragma once

#include "kernels/radial.hpp"
#include "kernels/tile_multiply.hpp"
#include "plan/values.hpp"

#include <algorithm>

namespace eqnn::kernels {

/// One tile: consecutive edges of a group.
template <class S> struct EdgeTile {
  std::int64_t first; ///< first edge
  std::int64_t n;
};

/// Calls body(center, first edge within the tile, number of edges) for the part of each center that
/// lies in the tile.
template <class S, class Body> KOKKOS_FORCEINLINE_FUNCTION void
for_centers_of_tile(const DeviceEdges<S>& edges, const EdgeTile<S>& tile, const Body& body) {
  std::int64_t e = tile.first;
  while (e < tile.first + tile.n) {
    const std::int32_t i = edges.center(e);
    const std::int64_t end =
        edges.begin(i + 1) < tile.first + tile.n ? edges.begin(i + 1) : tile.first + tile.n;
    body(i, e - tile.first, end - e);
    e = end;
  }
}

/// Calls body(tile) for each tile of a team's group.
template <class S, class Body>
KOKKOS_FORCEINLINE_FUNCTION void for_tiles_of_group(const typename S::Team& team,
                                                    const DeviceEdges<S>& edges,
                                                    std::int32_t group,
                                                    std::int32_t tile_edges,
                                                    const Body& body) {
  const std::int64_t end = edges.begin(edges.group(group + 1));
  for (std::int64_t first = edges.begin(edges.group(group)); first < end; first += tile_edges) {
    body(EdgeTile<S>{first, end - first < tile_edges ? end - first : std::int64_t{tile_edges}});
    barrier(team);
  }
}

template <class S> KOKKOS_FORCEINLINE_FUNCTION void clear_rows(const typename S::Team& team,
                                                               const Rows<typename S::Scalar>& rows,
                                                               std::int64_t begin,
                                                               std::int64_t end) {
  for_rows(team, end - begin, [&](std::int64_t r) {
    auto* const x = rows.row(begin + r);
    for_channels(team, rows.width(), [&](int c) { x[c] = 0; });
  });
  barrier(team);
}

/// Number of edges per tile if each edge needs buffers of this many scalars.
template <class Scalar> std::int32_t tile_edges(std::int64_t scalars) {
  const std::size_t bytes = sizeof(Scalar) * static_cast<std::size_t>(scalars);
  return std::clamp(
      static_cast<std::int32_t>(kTileBytes / bytes), kFewestTileEdges, kMostTileEdges);
}

/// Where the adjoints of m = source + center go.
template <class S> struct MessageAdjoints {
  Rows<typename S::Scalar> center; ///< adj_center; a team owns the rows of its group
  /// adj_source, written directly if one thread does all the work; otherwise via `messages`
  Rows<typename S::Scalar> source;
  /// [edges of the chunk, width of a source row]; gather_messages adds them to their sources
  typename S::Scalar* messages = nullptr;
  std::int64_t first_edge = 0; ///< first edge of the chunk
};

/// The edges of a chunk ordered by source: segment s holds edge[begin[s]] .. edge[begin[s+1]-1], in
/// increasing order.
template <class S> struct SourceSegments {
  std::int32_t first_segment = 0, n_segments = 0;
  Array<S, const std::int64_t> begin;
  Array<S, const std::int64_t> edge;
};

/// adj_source[j] += the messages of the chunk's edges that come from j. No atomics: one team owns a
/// source. Edges are added in increasing order, chunk after chunk, so the sum equals that of a
/// single thread.
template <class S> void gather_messages(const typename S::Exec& space,
                                        const DeviceEdges<S>& edges,
                                        const SourceSegments<S>& segments,
                                        const MessageAdjoints<S>& adjoints) {
  using Scalar = typename S::Scalar;
  using Team = typename S::Team;
  Kokkos::parallel_for(
      "eqnn::gather_messages",
      team_policy<S>(space, segments.n_segments, 0),
      KOKKOS_LAMBDA(const Team& team) {
        const std::int32_t s =
            segments.first_segment + static_cast<std::int32_t>(team.league_rank());
        const std::int32_t source = edges.source(segments.edge(segments.begin(s)));
        const int width = adjoints.source.width();
        Scalar* const row = adjoints.source.row(source);
        const auto message = [&](std::int64_t k) {
          return adjoints.messages + (segments.edge(k) - adjoints.first_edge) * width;
        };
        EQNN_IF_ON_HOST((for (std::int64_t k = segments.begin(s); k < segments.begin(s + 1); ++k) {
          const Scalar* const from = message(k);
          for_channels(team, width, [&](int c) { row[c] += from[c]; });
        }))
        // all lanes of the team, each with its sum in a register
        EQNN_IF_ON_DEVICE((Kokkos::parallel_for(Kokkos::TeamVectorRange(team, width), [&](int c) {
                             Scalar sum = row[c];
                             for (std::int64_t k = segments.begin(s); k < segments.begin(s + 1);
                                  ++k) {
                               sum += message(k)[c];
                             }
                             row[c] = sum;
                           });))
      });
}

} // namespace eqnn::kernels
