// SPDX-License-Identifier: BSD-3-Clause
// CP product: out[r, c] = sum over edges of w_e[c] b_e[r] a_j[r, c], with b_e = B^T Y(e) and a_j =
// A^T source_j, or a_j = source_j if a node-level stage has already mixed it. Formulas:
// docs/spec/stages/cp_product.md.
#pragma once

#include "kernels/context.hpp"
#include "kernels/edge_sums.hpp"
#include "kernels/stages/cp_product_edge.hpp"
#include "plan/stages/cp_product.hpp"

namespace eqnn::kernels {

/// Buffers of one tile, and the steps of the forward pass and of the adjoint.
template <class S> struct CpTile {
  using Scalar = typename S::Scalar;
  using Accum = typename S::Accum;
  using Team = typename S::Team;

  const Team& team;
  const CpArrays<S>& on;
  const DeviceCp<S>& p;
  int stride, width;         ///< of rows of factors
  Scalar *w, *slope;         ///< [tile, radial.stride]
  Scalar *b, *adj_b;         ///< [tile, rank_stride]; by tangents: adj_b is [2, tile, rank_stride]
  Scalar *adj_mixed, *mixed; ///< [slots, rank, stride]: adjoint of a, and a if it is computed here

  KOKKOS_INLINE_FUNCTION static std::int64_t scalars(const CpArrays<S>& on) {
    const std::int64_t n = on.product.tile_edges;
    const std::int64_t n_rows = std::int64_t{on.product.slots} * (on.product.is_mixed ? 1 : 2);
    return n * (2 * on.radial.stride + 3 * on.product.rank_stride) +
           n_rows * on.product.rank * on.radial.stride;
  }

  static std::size_t scratch_bytes(const CpArrays<S>& on) {
    return Scratch<Team>::template bytes<Scalar>(scalars(on));
  }

  KOKKOS_INLINE_FUNCTION CpTile(const Team& team_, const CpArrays<S>& arrays)
      : team(team_)
      , on(arrays)
      , p(arrays.product)
      , stride(arrays.radial.stride)
      , width(arrays.product.rank * arrays.radial.stride) {
    const std::int64_t n = p.tile_edges;
    w = Scratch<Team>(team_).template take<Scalar>(scalars(arrays));
    slope = w + n * stride;
    b = slope + n * stride;
    adj_b = b + n * p.rank_stride;
    adj_mixed = adj_b + 2 * n * p.rank_stride;
    mixed = p.is_mixed ? nullptr : adj_mixed + std::int64_t{p.slots} * width;
  }

  /// b = B^T Y
  KOKKOS_FORCEINLINE_FUNCTION void factors(const EdgeTile<S>& tile) const {
    factors_of(
        on.harmonics.data() + tile.first * p.harmonics_stride, p.harmonics_stride, tile.n, b);
  }

  /// B^T dY along the tangents
  KOKKOS_FORCEINLINE_FUNCTION void factors_of_tangents(const EdgeTile<S>& tile,
                                                       const Scalar* tangents) const {
    for (int t = 0; t < 2; ++t) {
      factors_of(tangents + (2 * tile.first + t) * p.harmonics_stride,
                 2 * p.harmonics_stride,
                 tile.n,
                 adj_b + t * std::int64_t{p.tile_edges} * p.rank_stride);
    }
  }

  /// a of n edges starting at `edge`
  KOKKOS_FORCEINLINE_FUNCTION void mix_sources(std::int64_t edge, std::int64_t n) const {
    for (std::int64_t e = 0; e < n; ++e) {
      multiply<false>(
          team,
          Extents{p.rank, stride, p.components},
          Left<Scalar>{p.mix.data(), p.components, 1},
          row_major(static_cast<const Scalar*>(on.source.row(on.edges.source(edge + e))), stride),
          Target<Scalar>{mixed + e * width, stride});
    }
  }

  /// out += the tile's edges
  KOKKOS_FORCEINLINE_FUNCTION void sum_edges(const EdgeTile<S>& tile) const {
    for_centers_of_tile(on.edges, tile, [&](std::int32_t i, std::int64_t first, std::int64_t n) {
      const std::int64_t together = p.is_mixed ? n : p.slots;
      for (std::int64_t e = first; e < first + n; e += together) {
        const std::int64_t edge = tile.first + e;
        const std::int64_t some = first + n - e < together ? first + n - e : together;
        const CpSums<Scalar> sums{
            p.rank, stride, w + e * stride, b + e * p.rank_stride, p.rank_stride, on.out.row(i)};
        if (p.is_mixed) {
          add_products(team, sums, some, [&](std::int64_t k) {
            return static_cast<const Scalar*>(on.source.row(on.edges.source(edge + k)));
          });
        } else {
          mix_sources(edge, some);
          add_products(team, sums, some, [&](std::int64_t k) {
            return static_cast<const Scalar*>(mixed + k * width);
          });
        }
        barrier(team);
      }
    });
  }

  /// Adjoints of the tile's edges, a few at a time.
  KOKKOS_FORCEINLINE_FUNCTION void edges_adjoint(const EdgeTile<S>& tile,
                                                 const ProductAdjoints<S>& to) const {
    const std::int64_t together = are_messages(to.messages) ? tile.n : p.slots;
    for (std::int64_t e = 0; e < tile.n; e += together) {
      const std::int64_t some = tile.n - e < together ? tile.n - e : together;
      if (!p.is_mixed) {
        mix_sources(tile.first + e, some);
      }
      for_rows(team, some, [&](std::int64_t k) { edge_adjoint(tile.first + e + k, e + k, k, to); });
      barrier(team);
      if (!are_messages(to.messages)) {
        give_messages(tile.first + e, some, to.messages);
        barrier(team);
      }
    }
  }

  /// Adjoints of the tile's edges, including their directions.
  KOKKOS_FORCEINLINE_FUNCTION void directions_and_edges(const EdgeTile<S>& tile,
                                                        const ProductAdjoints<S>& to) const {
    if constexpr (kByTangents<S>) {
      factors_of_tangents(tile, to.tangents.data());
      edges_adjoint(tile, to);
    } else {
      edges_adjoint(tile, to);
      multiply<true>(team,
                     Extents{static_cast<int>(tile.n), p.harmonics_stride, p.rank},
                     Left<Scalar>{adj_b, p.rank_stride, 1},
                     packed(p.harmonic_adjoint.data(), p.rank),
                     Target<Scalar>{to.adj_harmonics.data() + tile.first * p.harmonics_stride,
                                    p.harmonics_stride});
    }
  }

private:
  /// Whether the messages hold adjoints of factors.
  KOKKOS_FORCEINLINE_FUNCTION bool are_messages(const MessageAdjoints<S>& to) const {
    return p.is_mixed && to.messages != nullptr;
  }

  KOKKOS_FORCEINLINE_FUNCTION void
  factors_of(const Scalar* y, std::int64_t y_pitch, std::int64_t n, Scalar* out) const {
    multiply<false>(team,
                    Extents{static_cast<int>(n), p.rank_stride, p.harmonics},
                    Left<Scalar>{y, y_pitch, 1},
                    packed(p.harmonic.data(), p.harmonics),
                    Target<Scalar>{out, p.rank_stride});
  }

  /// One edge, in slot k and at place e of the tile.
  KOKKOS_FORCEINLINE_FUNCTION void edge_adjoint(std::int64_t edge,
                                                std::int64_t e,
                                                std::int64_t k,
                                                const ProductAdjoints<S>& to) const {
    const CpEdge<Scalar> at{p.rank,
                            stride,
                            w + e * stride,
                            slope + e * stride,
                            b + e * p.rank_stride,
                            p.is_mixed ? on.source.row(on.edges.source(edge)) : mixed + k * width,
                            on.out.row(on.edges.center(edge)),
                            are_messages(to.messages)
                                ? to.messages.messages + (edge - to.messages.first_edge) * width
                                : adj_mixed + k * width};
    if constexpr (kByTangents<S>) {
      const std::int64_t of_tile = std::int64_t{p.tile_edges} * p.rank_stride;
      const Scalar* const first = adj_b + e * p.rank_stride;
      const EdgeSums<Accum> sums = cp_adjoint_by_tangents<Accum>(team, at, first, first + of_tile);
      once(team, [&]() {
        to.adj_distance(edge) += sums.distance;
        to.adj_tangents(2 * edge) += sums.first;
        to.adj_tangents(2 * edge + 1) += sums.second;
      });
    }
#ifdef EQNN_VECTOR_TYPES
    if constexpr (!kByTangents<S>) {
      to.adj_distance(edge) += cp_adjoint<Accum>(at, adj_b + e * p.rank_stride);
    }
#endif
  }

  /// Passes on the adjoints of the factors of n edges, mixed back unless the source came mixed.
  /// They go to messages or, if one thread does all the work, to the sources' rows.
  KOKKOS_FORCEINLINE_FUNCTION void
  give_messages(std::int64_t edge, std::int64_t n, const MessageAdjoints<S>& to) const {
    const int source_width = on.source.width();
    for (std::int64_t k = 0; k < n; ++k) {
      const bool waits = to.messages != nullptr;
      Scalar* const row = waits ? to.messages + (edge + k - to.first_edge) * source_width
                                : to.source.row(on.edges.source(edge + k));
      // Sum within the edge first, then over edges: the same order as with several threads.
      const Scalar* sum = adj_mixed + k * width;
      if (!p.is_mixed) {
        Scalar* const of_source = waits ? row : mixed + k * width;
        multiply<false>(team,
                        Extents{p.components, stride, p.rank},
                        Left<Scalar>{p.mix_adjoint.data(), p.rank, 1},
                        row_major(sum, stride),
                        Target<Scalar>{of_source, stride});
        sum = of_source;
      }
      if (!waits) {
        for_rows(team, 1, [&](std::int64_t) {
          for_channels(team, source_width, [&](int c) { row[c] += sum[c]; });
        });
      }
    }
  }
};

template <class S> void cp_product(const typename S::Exec& space, const CpArrays<S>& arrays) {
  using Team = typename S::Team;
  Kokkos::parallel_for(
      "eqnn::cp_product",
      team_policy<S>(space, arrays.edges.n_groups, CpTile<S>::scratch_bytes(arrays)),
      KOKKOS_LAMBDA(const Team& team) {
        const std::int32_t g = static_cast<std::int32_t>(team.league_rank());
        const DeviceEdges<S>& edges = arrays.edges;
        const CpTile<S> at(team, arrays);
        clear_rows<S>(team, arrays.out, edges.group(g), edges.group(g + 1));
        for_tiles_of_group(team, edges, g, arrays.product.tile_edges, [&](const EdgeTile<S>& tile) {
          radial_rows<false>(team, arrays.radial, edges, tile.first, tile.n, at.w, at.w);
          at.factors(tile);
          at.sum_edges(tile);
        });
      });
}

/// Adjoint for a chunk of groups. docs/spec/stages/cp_product.md
template <class S> void cp_product_adjoint(const typename S::Exec& space,
                                           const EdgeSchedule::Chunk& chunk,
                                           const CpArrays<S>& arrays,
                                           const ProductAdjoints<S>& adjoints) {
  using Team = typename S::Team;
  const std::int32_t first_group = chunk.first_group;
  Kokkos::parallel_for(
      "eqnn::cp_product_adjoint",
      team_policy<S>(space, chunk.n_groups, CpTile<S>::scratch_bytes(arrays)),
      KOKKOS_LAMBDA(const Team& team) {
        const std::int32_t g = first_group + static_cast<std::int32_t>(team.league_rank());
        const DeviceEdges<S>& edges = arrays.edges;
        const CpTile<S> at(team, arrays);
        for_tiles_of_group(team, edges, g, arrays.product.tile_edges, [&](const EdgeTile<S>& tile) {
          radial_rows<true>(team, arrays.radial, edges, tile.first, tile.n, at.w, at.slope);
          at.factors(tile);
          at.directions_and_edges(tile, adjoints);
        });
      });
}

template <class S> struct CpProductStage {
  using Scalar = typename S::Scalar;

  plan::CpProduct op;
  DeviceCp<S> product;

  CpProductStage(plan::CpProduct host, DeviceTables<S>& tables)
      : op(std::move(host)) {
    DeviceCp<S>& p = product;
    p.rank = op.rank;
    p.rank_stride = padded_channels<Scalar>(op.rank);
    p.harmonics = op.harmonics;
    p.harmonics_stride = tables.harmonics_stride();
    p.components = tables.value(op.source.value).components;
    p.is_mixed = op.source_factor.empty();
    if constexpr (kByTangents<S>) {
      tables.tangents = true;
    }
    p.harmonic = tables.template array<Scalar>(
        "eqnn::harmonic_factor",
        pack<Scalar>(op.harmonic_factor, op.harmonics, op.rank, op.harmonics, p.rank_stride));
    p.harmonic_adjoint = tables.template array<Scalar>(
        "eqnn::harmonic_factor_adjoint",
        pack<Scalar>(plan::transposed(op.harmonic_factor, op.harmonics, op.rank),
                     op.rank,
                     op.harmonics,
                     op.rank,
                     p.harmonics_stride));
    if (!p.is_mixed) {
      p.mix = tables.template array<Scalar>(
          "eqnn::source_factor", plan::transposed(op.source_factor, p.components, op.rank));
      p.mix_adjoint =
          tables.template array<Scalar>("eqnn::source_factor_adjoint", op.source_factor);
    }
    p.tile_edges =
        tile_edges<Scalar>(2 * tables.radial_stride(op.radial) + 3 * std::int64_t{p.rank_stride});
    // On a device each thread has its own edge; on the host one thread works through them.
    p.slots = S::kOnHost || p.is_mixed ? 1 : p.tile_edges;
    release(op.harmonic_factor);
    release(op.source_factor);
  }

  std::int32_t message_width(const DeviceTables<S>& tables) const {
    return tables.pitch_of(op.source.value);
  }

  void forward(const Context<S>& at) const { cp_product(at.space(), arrays(at, at.value(op.out))); }

  void adjoint(const Context<S>& at) const {
    const CpArrays<S> reverse = arrays(at, at.adjoint(op.out));
    at.adjoint_along_edges(
        op.source, {}, [&](const EdgeSchedule::Chunk& chunk, const MessageAdjoints<S>& messages) {
          cp_product_adjoint(at.space(),
                             chunk,
                             reverse,
                             ProductAdjoints<S>{messages,
                                                at.adj_harmonics(),
                                                at.adj_distance(),
                                                at.tangents(),
                                                at.adj_tangents()});
        });
  }

private:
  CpArrays<S> arrays(const Context<S>& at, const Rows<Scalar>& out) const {
    return {at.edges(), product, at.radial(op.radial), at.harmonics(), at.value(op.source), out};
  }
};

} // namespace eqnn::kernels
