// SPDX-License-Identifier: BSD-3-Clause
// Rows of nodes: teams that work on tiles of nodes, and operations that several stages share. Only
// owned atoms are computed; ghosts get their rows from the HaloExchange.
#pragma once

#include "kernels/tile_multiply.hpp"
#include "plan/values.hpp"

#include <algorithm>

namespace eqnn::kernels {

/// Nodes per team. A device uses smaller tiles when there are few nodes, so that all
/// multiprocessors have work.
template <class S> std::int64_t tile_nodes(std::int64_t n_nodes) {
  return S::kOnHost ? kTileNodes : std::clamp<std::int64_t>(n_nodes / kDeviceTeams, 1, kTileNodes);
}

/// Teams of up to kTileNodes nodes. Calls body(team, first node, number of nodes, part) for each of
/// n_parts parts of the work, with all tiles of one part before the next part.
template <class S, class Body> void for_node_tiles(const typename S::Exec& space,
                                                   const char* label,
                                                   std::int64_t n_nodes,
                                                   std::size_t scratch_bytes,
                                                   const Body& body,
                                                   std::int32_t n_parts) {
  const std::int64_t tile = tile_nodes<S>(n_nodes);
  const std::int64_t n_tiles = (n_nodes + tile - 1) / tile;
  Kokkos::parallel_for(
      label,
      team_policy<S>(space, n_tiles * n_parts, scratch_bytes),
      KOKKOS_LAMBDA(const typename S::Team& team) {
        const std::int64_t part = team.league_rank() / n_tiles;
        const std::int64_t first = (team.league_rank() - part * n_tiles) * tile;
        body(team,
             first,
             static_cast<int>(first + tile <= n_nodes ? tile : n_nodes - first),
             static_cast<int>(part));
      });
}

/// The same for work in one part: calls body(team, first node, number of nodes).
template <class S, class Body> void for_node_tiles(const typename S::Exec& space,
                                                   const char* label,
                                                   std::int64_t n_nodes,
                                                   std::size_t scratch_bytes,
                                                   const Body& body) {
  const std::int64_t tile = tile_nodes<S>(n_nodes);
  Kokkos::parallel_for(
      label,
      team_policy<S>(space, (n_nodes + tile - 1) / tile, scratch_bytes),
      KOKKOS_LAMBDA(const typename S::Team& team) {
        const std::int64_t first = team.league_rank() * tile;
        body(team, first, static_cast<int>(first + tile <= n_nodes ? tile : n_nodes - first));
      });
}

/// Sets rows begin .. end-1 to zero.
template <class S> void clear(const typename S::Exec& space,
                              const Rows<typename S::Scalar>& x,
                              std::int64_t begin,
                              std::int64_t end) {
  typename S::Scalar* const data = x.row(begin);
  Kokkos::parallel_for(
      "eqnn::clear",
      typename S::Range(space, 0, (end - begin) * x.width()),
      KOKKOS_LAMBDA(std::int64_t k) { data[k] = 0; });
}

/// The rows of one block of a value.
template <class Scalar> KOKKOS_INLINE_FUNCTION Rows<Scalar> block_rows(const Rows<Scalar>& value,
                                                                       std::int32_t first,
                                                                       std::int32_t components,
                                                                       std::int32_t channels,
                                                                       std::int32_t stride) {
  return {value.data + first, components, channels, stride, value.pitch};
}

/// Sets the rows of a block to zero.
template <class S> void clear_block(const typename S::Exec& space,
                                    std::int64_t n_nodes,
                                    const Rows<typename S::Scalar>& x) {
  for_node_tiles<S>(
      space,
      "eqnn::clear_block",
      n_nodes,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        for_rows(team, n, [&](std::int64_t r) {
          auto* const row = x.row(first + r);
          for_channels(team, x.extent(), [&](int c) { row[c] = 0; });
        });
      });
}

/// out = or += in, for the rows of a block.
template <class S> void add_block(const typename S::Exec& space,
                                  std::int64_t n_nodes,
                                  const Rows<typename S::Scalar>& in,
                                  const Rows<typename S::Scalar>& out,
                                  plan::Write write) {
  const bool keep = write == plan::Write::Add;
  for_node_tiles<S>(
      space,
      "eqnn::add_block",
      n_nodes,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        for_rows(team, n, [&](std::int64_t r) {
          for (int k = 0; k < out.components; ++k) {
            const auto* const x = in.row(first + r) + k * in.stride;
            auto* const y = out.row(first + r) + k * out.stride;
            const int both = in.stride < out.stride ? in.stride : out.stride;
            for_channels(team, both, [&](int c) { y[c] = keep ? y[c] + x[c] : x[c]; });
            if (!keep) {
              for_channels(team, out.stride - both, [&](int c) { y[both + c] = 0; });
            }
          }
        });
      });
}

/// adj_in = or += adj_out: the adjoint of one term of a sum
template <class S> void add_adjoint(const typename S::Exec& space,
                                    std::int64_t n_nodes,
                                    const Rows<typename S::Scalar>& adj_out,
                                    const Rows<typename S::Scalar>& adj_in,
                                    plan::Write write) {
  const auto keep = static_cast<typename S::Scalar>(write == plan::Write::Add ? 1 : 0);
  for_node_tiles<S>(
      space,
      "eqnn::add_adjoint",
      n_nodes,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        for_rows(team, n, [&](std::int64_t r) {
          auto* const x = adj_in.row(first + r);
          const auto* const y = adj_out.row(first + r);
          if (keep == 0) { // a buffer that was never written may hold NaN, and 0 * NaN is not 0
            for_channels(team, adj_in.width(), [&](int c) { x[c] = y[c]; });
          } else {
            for_channels(team, adj_in.width(), [&](int c) { x[c] += y[c]; });
          }
        });
      });
}

/// The rows that the adjoint of a one-input stage works on: the input, dE/d(output), and
/// dE/d(input), which it overwrites or adds to.
template <class Scalar> struct AdjointRows {
  Rows<Scalar> in, adj_out, adj_in;
  plan::Write write = plan::Write::Add;

  KOKKOS_INLINE_FUNCTION bool keep() const { return write == plan::Write::Add; }
};

} // namespace eqnn::kernels
