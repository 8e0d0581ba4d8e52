// SPDX-License-Identifier: BSD-3-Clause
// Edge product: out[b, m3, c] += sum over edges of w_e[c] sum_m1 K_e[m1, m3] source[a, m1, c], path by
// path, and its adjoint. Formulas: docs/spec/stages/edge_product.md.
//
// Radial functions and the matrices K exist for one tile and are recomputed in the adjoint. On the
// host, the sums of a path over the edges of a center stay in registers.
#pragma once

#include "kernels/context.hpp"
#include "kernels/stages/edge_product_lanes.hpp"
#include "kernels/stages/edge_product_paths.hpp"
#include "plan/stages/edge_product.hpp"

#include <type_traits>

namespace eqnn::kernels {

/// Buffers of one tile, and the steps of the forward pass and of the adjoint.
template <class S> struct EdgeProductTile {
  using Scalar = typename S::Scalar;
  using Accum = typename S::Accum;
  using Team = typename S::Team;

  const Team& team;
  const ProductArrays<S>& on;
  const DeviceEdgeProduct<S>& p;
  Scalar *w, *slope; ///< [tile, radial.stride]
  Scalar *k, *adj_k; ///< [tile, entries_stride]

  static std::size_t scratch_bytes(const ProductArrays<S>& on) {
    return Scratch<Team>::template bytes<Scalar>(
        std::int64_t{on.product.tile_edges} *
        (2 * on.radial.stride + 2 * on.product.entries_stride));
  }

  KOKKOS_INLINE_FUNCTION EdgeProductTile(const Team& team_, const ProductArrays<S>& arrays)
      : team(team_)
      , on(arrays)
      , p(arrays.product) {
    const std::int64_t n = p.tile_edges;
    const std::int64_t n_radial = n * on.radial.stride;
    w = Scratch<Team>(team_).template take<Scalar>(2 * n_radial + 2 * n * p.entries_stride);
    slope = w + n_radial;
    k = slope + n_radial;
    adj_k = k + n * p.entries_stride;
  }

  KOKKOS_FORCEINLINE_FUNCTION void radial(const EdgeTile<S>& tile) const {
    radial_rows<false>(team, on.radial, on.edges, tile.first, tile.n, w, w);
  }

  KOKKOS_FORCEINLINE_FUNCTION void radial_with_slopes(const EdgeTile<S>& tile) const {
    radial_rows<true>(team, on.radial, on.edges, tile.first, tile.n, w, slope);
  }

  /// K = Y coupling
  KOKKOS_FORCEINLINE_FUNCTION void matrices(const EdgeTile<S>& tile) const {
    const Scalar* const y = on.harmonics.data() + tile.first * p.harmonics_stride;
    multiply<false>(team,
                    Extents{static_cast<int>(tile.n), p.entries_stride, p.harmonics},
                    Left<Scalar>{y, p.harmonics_stride, 1},
                    packed(p.coupling.data(), p.harmonics),
                    Target<Scalar>{k, p.entries_stride});
  }

  /// out += all paths of the tile's edges
  KOKKOS_FORCEINLINE_FUNCTION void sum_paths(const EdgeTile<S>& tile) const {
    for_centers_of_tile(on.edges, tile, [&](std::int32_t i, std::int64_t first, std::int64_t n) {
      for (int q = 0; q < p.n_paths; ++q) {
        const DevicePath path = p.paths(q);
        sum_path(path, tile.first + first, first, n, on.out.row(i) + path.out);
      }
    });
  }

  /// y += the sum of one path over n edges of a center. The first of them is `edge` among all edges
  /// and `first` within the tile.
  KOKKOS_FORCEINLINE_FUNCTION void sum_path(const DevicePath& path,
                                            std::int64_t edge,
                                            std::int64_t first,
                                            std::int64_t n,
                                            Scalar* y) const {
    const Scalar* const of_k = k + first * p.entries_stride + path.entry;
    const Scalar* const of_w = w + first * on.radial.stride + path.radial;
#ifdef EQNN_VECTOR_TYPES
    EQNN_IF_ON_HOST((sum_path_on_host(path, edge, n, of_k, of_w, y);))
#else
    EQNN_IF_ON_HOST((sum_path_plainly(path, edge, n, of_k, of_w, y);))
#endif
    EQNN_IF_ON_DEVICE((sum_path_plainly(path, edge, n, of_k, of_w, y);))
  }

  KOKKOS_FORCEINLINE_FUNCTION void sum_path_plainly(const DevicePath& path,
                                                    std::int64_t edge,
                                                    std::int64_t n,
                                                    const Scalar* of_k,
                                                    const Scalar* of_w,
                                                    Scalar* y) const {
    for_rows(team, path.d3, [&](std::int64_t m) {
      for_channels(team, path.channels, [&](int c) {
        Scalar sum = 0;
        for (std::int64_t e = 0; e < n; ++e) {
          const Scalar* const x = on.source.row(on.edges.source(edge + e)) + path.source + c;
          Scalar product = 0;
          for (int i = 0; i < path.d1; ++i) {
            product += of_k[e * p.entries_stride + i * path.d3 + m] * x[i * path.source_stride];
          }
          sum += product * of_w[e * on.radial.stride + c];
        }
        y[m * path.out_stride + c] += sum;
      });
    });
    barrier(team);
  }

#ifdef EQNN_VECTOR_TYPES
  void sum_path_on_host(const DevicePath& path,
                        std::int64_t edge,
                        std::int64_t n,
                        const Scalar* of_k,
                        const Scalar* of_w,
                        Scalar* y) const {
    host::for_chunks(path.d3, [&](auto size, int m) {
      constexpr int kSize = decltype(size)::value;
      // Enough independent sums to hide the latency of an addition.
      constexpr int kWide = kSize == 1 ? 4 : (kSize <= 3 ? 2 : 1);
      int c = 0;
      const auto source_of = [&](int e) {
        return on.source.row(on.edges.source(edge + e)) + path.source + c;
      };
      const auto run = [&](auto registers) {
        constexpr int kRegisters = decltype(registers)::value;
        const host::PathColumns<Scalar> columns{static_cast<int>(n),
                                                of_k + m,
                                                p.entries_stride,
                                                of_w + c,
                                                on.radial.stride,
                                                y + m * path.out_stride + c};
        host::path_forward<kSize, kRegisters>(path, columns, source_of);
        c += kRegisters * kLanes<Scalar>;
      };
      while (c + kWide * kLanes<Scalar> <= path.channels) {
        run(std::integral_constant<int, kWide>{});
      }
      while (c < path.channels) {
        run(std::integral_constant<int, 1>{});
      }
    });
  }
#endif

  KOKKOS_FORCEINLINE_FUNCTION void clear_adj_matrices(const EdgeTile<S>& tile) const {
    for_rows(team, tile.n, [&](std::int64_t e) {
      Scalar* const row = adj_k + e * p.entries_stride;
      for_channels(team, p.entries_stride, [&](int c) { row[c] = 0; });
    });
    barrier(team);
  }

  /// Adjoints of all paths, edge by edge. message: one row of scratch.
  KOKKOS_FORCEINLINE_FUNCTION void
  paths_adjoint(const EdgeTile<S>& tile, const ProductAdjoints<S>& to, Scalar* message) const {
    const int width = on.source.width();
    const MessageAdjoints<S>& messages = to.messages;
    for_rows(team, tile.n, [&](std::int64_t e) {
      const std::int64_t edge = tile.first + e;
      // Sum over paths first, then over edges: the same order as with several threads.
      Scalar* const adj_x = messages.messages != nullptr
                                ? messages.messages + (edge - messages.first_edge) * width
                                : message;
      for_channels(team, width, [&](int c) { adj_x[c] = 0; });
      const EdgeOperands<Scalar> at{k + e * p.entries_stride,
                                    w + e * on.radial.stride,
                                    slope + e * on.radial.stride,
                                    on.source.row(on.edges.source(edge)),
                                    on.out.row(on.edges.center(edge)),
                                    adj_x,
                                    adj_k + e * p.entries_stride};
      const Accum total = edge_adjoint<S>(team, p, at);
      once(team, [&]() { to.adj_distance(edge) += total; });
      if (messages.messages == nullptr) {
        Scalar* const row = messages.source.row(on.edges.source(edge));
        for_channels(team, width, [&](int c) { row[c] += message[c]; });
      }
    });
    barrier(team);
  }

  /// adj_harmonics += adj_K coupling^T
  KOKKOS_FORCEINLINE_FUNCTION void matrices_adjoint(const EdgeTile<S>& tile,
                                                    const ProductAdjoints<S>& to) const {
    multiply<true>(team,
                   Extents{static_cast<int>(tile.n), p.harmonics_stride, p.entries},
                   Left<Scalar>{adj_k, p.entries_stride, 1},
                   packed(p.adjoint.data(), p.entries),
                   Target<Scalar>{to.adj_harmonics.data() + tile.first * p.harmonics_stride,
                                  p.harmonics_stride});
  }
};

template <class S>
void edge_product(const typename S::Exec& space, const ProductArrays<S>& arrays) {
  using Team = typename S::Team;
  Kokkos::parallel_for(
      "eqnn::edge_product",
      team_policy<S>(space, arrays.edges.n_groups, EdgeProductTile<S>::scratch_bytes(arrays)),
      KOKKOS_LAMBDA(const Team& team) {
        const std::int32_t g = static_cast<std::int32_t>(team.league_rank());
        const DeviceEdges<S>& edges = arrays.edges;
        const EdgeProductTile<S> at(team, arrays);
        clear_rows<S>(team, arrays.out, edges.group(g), edges.group(g + 1));
        for_tiles_of_group(team, edges, g, arrays.product.tile_edges, [&](const EdgeTile<S>& tile) {
          at.radial(tile);
          at.matrices(tile);
          at.sum_paths(tile);
        });
      });
}

/// Adjoint for a chunk of groups. docs/spec/stages/edge_product.md
template <class S> void edge_product_adjoint(const typename S::Exec& space,
                                             const EdgeSchedule::Chunk& chunk,
                                             const ProductArrays<S>& arrays,
                                             const ProductAdjoints<S>& adjoints) {
  using Scalar = typename S::Scalar;
  using Team = typename S::Team;
  const std::int32_t first_group = chunk.first_group;
  Kokkos::parallel_for(
      "eqnn::edge_product_adjoint",
      team_policy<S>(space,
                     chunk.n_groups,
                     EdgeProductTile<S>::scratch_bytes(arrays) +
                         Scratch<Team>::template bytes<Scalar>(arrays.source.width())),
      KOKKOS_LAMBDA(const Team& team) {
        const std::int32_t g = first_group + static_cast<std::int32_t>(team.league_rank());
        const EdgeProductTile<S> at(team, arrays);
        Scalar* const message = Scratch<Team>(team).template take<Scalar>(arrays.source.width());
        for_tiles_of_group(
            team, arrays.edges, g, arrays.product.tile_edges, [&](const EdgeTile<S>& tile) {
              at.radial_with_slopes(tile);
              at.clear_adj_matrices(tile);
              at.matrices(tile);
              at.paths_adjoint(tile, adjoints, message);
              at.matrices_adjoint(tile, adjoints);
            });
      });
}

template <class S> struct EdgeProductStage {
  using Scalar = typename S::Scalar;

  plan::EdgeProduct op;
  DeviceEdgeProduct<S> product;

  EdgeProductStage(plan::EdgeProduct host, DeviceTables<S>& tables)
      : op(std::move(host)) {
    DeviceEdgeProduct<S>& p = product;
    std::vector<DevicePath> paths;
    for (const plan::Path& path : op.paths) {
      paths.push_back(device_path(path, op.source.value, op.out, tables));
      paths.back().channels = padded_channels<Scalar>(path.channels);
    }
    if constexpr (!S::kOnHost) {
      tables.tangents = true;
      share_out_among_lanes(paths, tables);
    }
    p.paths = tables.template array<DevicePath>("eqnn::paths", paths);
    upload_couplings(op, tables, p);
    p.tile_edges = tile_edges<Scalar>(2 * (tables.radial_stride(op.radial) + p.entries_stride));
    release(op.coupling);
  }

  std::int32_t message_width(const DeviceTables<S>& tables) const {
    return tables.pitch_of(op.source.value);
  }

  void forward(const Context<S>& at) const {
    if constexpr (S::kOnHost) {
      edge_product(at.space(), arrays(at, at.value(op.out)));
    } else {
      edge_product_lanes(at.space(), arrays(at, at.value(op.out)));
    }
  }

  void adjoint(const Context<S>& at) const {
    const ProductArrays<S> reverse = arrays(at, at.adjoint(op.out));
    at.adjoint_along_edges(
        op.source, {}, [&](const EdgeSchedule::Chunk& chunk, const MessageAdjoints<S>& messages) {
          const ProductAdjoints<S> to{
              messages, at.adj_harmonics(), at.adj_distance(), at.tangents(), at.adj_tangents()};
          if constexpr (S::kOnHost) {
            edge_product_adjoint(at.space(), chunk, reverse, to);
          } else {
            edge_product_adjoint_lanes(at.space(), chunk, reverse, to);
          }
        });
  }

private:
  void share_out_among_lanes(const std::vector<DevicePath>& paths, DeviceTables<S>& tables) {
    std::vector<LaneUnit> sums, adjoints;
    std::vector<DevicePath> by_out, by_source;
    const auto for_blocks = [&](plan::ValueId v, const auto& paths_of, const auto& use) {
      const bool all = paths_of(op.paths.front()) == plan::kAllBlocks;
      const auto n = static_cast<std::int32_t>(tables.value(v).blocks.size());
      for (std::int32_t b = all ? plan::kAllBlocks : 0; b < (all ? plan::kAllBlocks + 1 : n); ++b) {
        std::vector<DevicePath> of_block;
        for (std::size_t q = 0; q < paths.size(); ++q) {
          if (paths_of(op.paths[q]) == b) {
            of_block.push_back(paths[q]);
          }
        }
        const LaneUnit unit = place_of(v, b, tables);
        use(unit, unit.rows, of_block);
      }
    };
    for_blocks(
        op.out,
        [](const plan::Path& path) { return path.out; },
        [&](const LaneUnit& unit, std::int32_t rows, const auto& of_block) {
          const auto first_of = [](const DevicePath& path) { return path.out; };
          share_out<Scalar>(unit, rows, of_block, first_of, sums, by_out);
        });
    for_blocks(
        op.source.value,
        [](const plan::Path& path) { return path.source; },
        [&](const LaneUnit& unit, std::int32_t rows, const auto& of_block) {
          const auto first_of = [](const DevicePath& path) { return path.source; };
          share_out<Scalar>(unit, rows, of_block, first_of, adjoints, by_source);
        });
    product.n_sums = static_cast<std::int32_t>(sums.size());
    product.n_adjoints = static_cast<std::int32_t>(adjoints.size());
    product.sums = tables.template array<LaneUnit>("eqnn::path_sums", sums);
    product.adjoints = tables.template array<LaneUnit>("eqnn::path_adjoints", adjoints);
    product.by_out = tables.template array<DevicePath>("eqnn::paths_by_out", by_out);
    product.by_source = tables.template array<DevicePath>("eqnn::paths_by_source", by_source);
  }

  ProductArrays<S> arrays(const Context<S>& at, const Rows<Scalar>& out) const {
    return {at.edges(), product, at.radial(op.radial), at.harmonics(), at.value(op.source), out};
  }
};

} // namespace eqnn::kernels
