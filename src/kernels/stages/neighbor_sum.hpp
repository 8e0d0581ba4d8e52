// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernels/context.hpp"
#include "plan/stages/neighbor_sum.hpp"

namespace eqnn::kernels {

/// out[i,k] = sum over edges of M[e][0][k] w_e
template <class S> void neighbor_sum(const typename S::Exec& space,
                                     const DeviceEdges<S>& edges,
                                     const Array<S, typename S::Scalar>& matrix,
                                     const DeviceRadial<S>& radial,
                                     const Rows<typename S::Scalar>& out) {
  constexpr std::int32_t kEdges = kMostTileEdges;
  using Scalar = typename S::Scalar;
  using Team = typename S::Team;
  Kokkos::parallel_for(
      "eqnn::neighbor_sum",
      team_policy<S>(space,
                     edges.n_groups,
                     Scratch<Team>::template bytes<Scalar>(std::int64_t{kEdges} * radial.stride)),
      KOKKOS_LAMBDA(const Team& team) {
        const std::int32_t g = static_cast<std::int32_t>(team.league_rank());
        const int d = out.components;
        const Scratch<Team> scratch(team);
        Scalar* const w = scratch.template take<Scalar>(std::int64_t{kEdges} * radial.stride);
        clear_rows<S>(team, out, edges.group(g), edges.group(g + 1));
        for_tiles_of_group(team, edges, g, kEdges, [&](const EdgeTile<S>& tile) {
          radial_rows<false>(team, radial, edges, tile.first, tile.n, w, w);
          for_centers_of_tile(edges, tile, [&](std::int32_t i, std::int64_t first, std::int64_t n) {
            multiply<true>(team,
                           Extents{d, out.stride, n},
                           Left<Scalar>{matrix.data() + (tile.first + first) * d * d, 1, d * d},
                           row_major(w + first * radial.stride, radial.stride),
                           Target<Scalar>{out.row(i), out.stride});
          });
        });
      });
}

/// sum row w and sum row slope. One function for all execution spaces, and not inlined: the order
/// of a sum, and so its last bits, must not depend on the calling code.
template <class Scalar, class Accum> [[gnu::noinline]] void host_row_sums(const Scalar* row,
                                                                          const Scalar* w,
                                                                          const Scalar* slope,
                                                                          int n,
                                                                          Scalar& with_value,
                                                                          Accum& with_slope) {
  Scalar value = 0;
  Accum derivative = 0;
#pragma omp simd reduction(+ : value, derivative)
  for (int c = 0; c < n; ++c) {
    value += row[c] * w[c];
    derivative += static_cast<Accum>(row[c] * slope[c]);
  }
  with_value = value;
  with_slope = derivative;
}

/// Matrices of the edges, and the arrays that the adjoint adds to.
template <class S> struct NeighborSumEdges {
  Array<S, typename S::Scalar> matrix, adj_matrix; ///< [n_edges, d, d]
  Array<S, typename S::Accum> adj_distance;        ///< [n_edges]
};

/// adj_matrix[e][0][k] += sum_c adj_out[i,k,c] w_c;  adj_distance[e] += sum_c dw_c/dr sum_k
/// M[e][0][k] adj_out[i,k,c]
template <class S> void neighbor_sum_adjoint(const typename S::Exec& space,
                                             const DeviceEdges<S>& edges,
                                             const DeviceRadial<S>& radial,
                                             const Rows<typename S::Scalar>& adj_out,
                                             const NeighborSumEdges<S>& of_edges) {
  const auto matrix = of_edges.matrix;
  const auto adj_matrix = of_edges.adj_matrix;
  const auto adj_distance = of_edges.adj_distance;
  using Scalar = typename S::Scalar;
  using Accum = typename S::Accum;
  using Team = typename S::Team;
  Kokkos::parallel_for(
      "eqnn::neighbor_sum_adjoint",
      team_policy<S>(
          space, edges.n_groups, Scratch<Team>::template bytes<Scalar>(2 * radial.stride)),
      KOKKOS_LAMBDA(const Team& team) {
        const std::int32_t g = static_cast<std::int32_t>(team.league_rank());
        const int d = adj_out.components;
        const Scratch<Team> scratch(team);
        Scalar* const w = scratch.template take<Scalar>(2 * radial.stride);
        Scalar* const slope = w + radial.stride;
        // One edge at a time: a team is one thread on the host, and this stage runs once in a
        // network.
        for (std::int64_t e = edges.begin(edges.group(g)); e < edges.begin(edges.group(g + 1));
             ++e) {
          for_rows(team, 1, [&](std::int64_t) {
            const Scalar* const adjoint = adj_out.row(edges.center(e));
            radial_row<true>(team, radial, edges, e, w, slope);
            Accum total = 0;
            for (int k = 0; k < d; ++k) {
              const Scalar entry = matrix(e * d * d + k);
              const Scalar* const row = adjoint + k * adj_out.stride;
              Scalar with_value = 0;
              Accum with_slope = 0;
              EQNN_IF_ON_HOST(
                  (host_row_sums(row, w, slope, radial.stride, with_value, with_slope);))
              EQNN_IF_ON_DEVICE(
                  (with_value = sum_channels<Scalar>(
                       team, 0, radial.stride, [&](int c) { return row[c] * w[c]; });
                   with_slope = sum_channels<Accum>(team, 0, radial.stride, [&](int c) {
                     return static_cast<Accum>(row[c] * slope[c]);
                   });))
              total += static_cast<Accum>(entry) * with_slope;
              once(team, [&]() { adj_matrix(e * d * d + k) += with_value; });
            }
            once(team, [&]() { adj_distance(e) += total; });
          });
          barrier(team);
        }
      });
}

template <class S> struct NeighborSumStage {
  using Scalar = typename S::Scalar;

  plan::NeighborSum op;

  NeighborSumStage(const plan::NeighborSum& host, DeviceTables<S>&)
      : op(host) {}

  std::int32_t message_width(const DeviceTables<S>&) const { return 0; }

  void forward(const Context<S>& at) const {
    neighbor_sum(
        at.space(), at.edges(), at.matrix(op.matrix), at.radial(op.radial), at.value(op.out));
  }

  void adjoint(const Context<S>& at) const {
    neighbor_sum_adjoint(
        at.space(),
        at.edges(),
        at.radial(op.radial),
        at.adjoint(op.out),
        NeighborSumEdges<S>{at.matrix(op.matrix), at.adj_matrix(op.matrix), at.adj_distance()});
  }
};

} // namespace eqnn::kernels
