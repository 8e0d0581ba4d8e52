// SPDX-License-Identifier: BSD-3-Clause
// Gaunt convolution in the frame of each edge: out[., c] += sum over edges of R^T A_e[c] R
// source[., c]. R rotates the edge onto the polar axis. There the filter is zonal, so A couples
// only components of the same order m, with the same entries for cosines and sines.
// docs/spec/gaunt.md
//
// A team owns a group of centers and works through their edges in tiles. R is a rotation about the
// pole (two components at a time) followed by a rotation in the plane of pole and edge. The latter
// mixes neither cosines with sines nor different degrees: one matrix [l + 1, l + 1] and one [l, l]
// per degree. A's entries exist for one (l1, l3, m) at a time.
#pragma once

#include "kernels/context.hpp"
#include "kernels/stages/edge_product.hpp"
#include "kernels/stages/zonal_product_frame.hpp"
#include "plan/stages/zonal_product.hpp"

namespace eqnn::kernels {

/// The arrays of a stage, forward and in reverse.
template <class S> struct ZonalArrays {
  DeviceEdges<S> edges;
  DeviceZonalProduct<S> product;
  DeviceRadial<S> radial;
  Rows<typename S::Scalar> source, out; ///< out: its adjoint, in reverse
};

/// out += R^T A R source, for the channels of a lane. All pointers are at its first channel.
template <class L, class S>
KOKKOS_FORCEINLINE_FUNCTION void zonal_edge(const ZonalArrays<S>& on,
                                            const EdgeFrame<typename S::Scalar>& frame,
                                            const typename S::Scalar* w,
                                            const typename S::Scalar* source,
                                            typename S::Scalar* out) {
  using V = typename L::Type;
  const DeviceZonalProduct<S>& p = on.product;
  V x[kMostZonal];
  V y[kMostZonal];
  to_frame<L>(p.l_source, frame, source, on.source.stride, x);
  for (int k = 0; k < on.out.components; ++k) {
    y[k] = V{};
  }
  for (int q = 0; q < p.n_axial; ++q) {
    const plan::ZonalPair pair = p.pairs(q);
    y[pair.out] += zonal_entry<L>(p, pair, w) * x[pair.in];
  }
  for (int q = p.n_axial; q < p.n_pairs; ++q) {
    const plan::ZonalPair pair = p.pairs(q);
    const V a = zonal_entry<L>(p, pair, w);
    y[pair.out] += a * x[pair.in];
    y[pair.out_sine] += a * x[pair.in_sine];
  }
  from_frame<L>(p.l_out, frame, y, out, on.out.stride, true);
}

template <class S> void zonal_product(const typename S::Exec& space, const ZonalArrays<S>& arrays) {
  using Scalar = typename S::Scalar;
  using Team = typename S::Team;
  Kokkos::parallel_for(
      "eqnn::zonal_product",
      team_policy<S>(
          space, arrays.edges.n_groups, ZonalTile<S>::scratch_bytes(arrays.product, arrays.radial)),
      KOKKOS_LAMBDA(const Team& team) {
        const std::int32_t g = static_cast<std::int32_t>(team.league_rank());
        const DeviceEdges<S>& edges = arrays.edges;
        const DeviceZonalProduct<S>& p = arrays.product;
        const DeviceRadial<S>& radial = arrays.radial;
        const ZonalTile<S> at(team, edges, p, radial);
        clear_rows<S>(team, arrays.out, edges.group(g), edges.group(g + 1));
        for_tiles_of_group(team, edges, g, p.tile_edges, [&](const EdgeTile<S>& tile) {
          radial_rows<false>(team, radial, edges, tile.first, tile.n, at.w, at.w);
          at.frames(tile);
          for_rows(team, edges.group(g + 1) - edges.group(g), [&](std::int64_t r) {
            const std::int64_t i = edges.group(g) + r;
            const std::int64_t end = tile.first + tile.n;
            const std::int64_t last = edges.begin(i + 1) < end ? edges.begin(i + 1) : end;
            const std::int64_t first = edges.begin(i) < tile.first ? tile.first : edges.begin(i);
            for (std::int64_t edge = first; edge < last; ++edge) {
              const std::int64_t e = edge - tile.first;
              const Scalar* const w = at.w + e * radial.stride;
              const Scalar* const x = arrays.source.row(edges.source(edge));
              for_lanes<Scalar, 2>(team, p.channels, [&](int c, auto lane) {
                using L = decltype(lane);
                zonal_edge<L, S>(arrays, at.frame(e), w + c, x + c, arrays.out.row(i) + c);
              });
            }
          });
        });
      });
}

/// In the frame: x, g = dE/dy, y = A x, and A^T g.
template <class V> struct FrameVectors {
  V x[kMostZonal];
  V g[kMostZonal];
  V y[kMostZonal];
  V adj_x[kMostZonal];
  int n_source, n_out; ///< components
};

/// y . (G g) + adj_x . (G x), with the antisymmetric generator G of a rotation.
template <class S, class V> KOKKOS_FORCEINLINE_FUNCTION V torque(const DeviceZonalProduct<S>& p,
                                                                 int axis,
                                                                 const FrameVectors<V>& at) {
  using Scalar = typename S::Scalar;
  V sum{};
  for (int k = 0; k < p.n_turns[axis]; ++k) {
    const DeviceTurn<Scalar> turn = p.turns[axis](k);
    V term{};
    if (turn.j < at.n_out) {
      term += at.y[turn.i] * at.g[turn.j];
      term += Scalar(-1) * (at.y[turn.j] * at.g[turn.i]);
    }
    if (turn.j < at.n_source) {
      term += at.adj_x[turn.i] * at.x[turn.j];
      term += Scalar(-1) * (at.adj_x[turn.j] * at.x[turn.i]);
    }
    sum += turn.value * term;
  }
  return sum;
}

/// y = A x, adj_x = A^T g. Returns dE/d(distance) through the radial functions of the entries. w
/// and slope are at the lane's first channel.
template <class L, class S> KOKKOS_FORCEINLINE_FUNCTION typename L::Type
zonal_entries_adjoint(const DeviceZonalProduct<S>& p,
                      const typename S::Scalar* w,
                      const typename S::Scalar* slope,
                      FrameVectors<typename L::Type>& at) {
  using V = typename L::Type;
  for (int k = 0; k < at.n_source; ++k) {
    at.adj_x[k] = V{};
  }
  for (int k = 0; k < at.n_out; ++k) {
    at.y[k] = V{};
  }
  V stretch{};
  for (int q = 0; q < p.n_pairs; ++q) {
    const plan::ZonalPair pair = p.pairs(q);
    const V a = zonal_entry<L>(p, pair, w);
    at.y[pair.out] += a * at.x[pair.in];
    at.adj_x[pair.in] += a * at.g[pair.out];
    V adj_a = at.g[pair.out] * at.x[pair.in];
    if (q >= p.n_axial) {
      at.y[pair.out_sine] += a * at.x[pair.in_sine];
      at.adj_x[pair.in_sine] += a * at.g[pair.out_sine];
      adj_a += at.g[pair.out_sine] * at.x[pair.in_sine];
    }
    stretch += adj_a * zonal_entry<L>(p, pair, slope);
  }
  return stretch;
}

/// The steps of the adjoint on one edge, with x, g, y = A x and A^T g in the frame. dE/dA = g x^T.
/// The energy changes with the direction of the edge only through the rotation of the frame, since
/// A does not depend on the direction.
template <class S> struct ZonalAdjointEdge {
  using Scalar = typename S::Scalar;
  using Accum = typename S::Accum;

  const ZonalTile<S>& tile;
  const ZonalArrays<S>& on;
  const ProductAdjoints<S>& to;
  std::int64_t edge, e; ///< index among all edges, and within the tile
  // Sums per channel overwrite radial functions that are no longer needed.
  Scalar *of_distance, *of_turn[2];

  KOKKOS_INLINE_FUNCTION ZonalAdjointEdge(const ZonalTile<S>& tile_,
                                          const ZonalArrays<S>& arrays,
                                          const ProductAdjoints<S>& adjoints,
                                          std::int64_t first,
                                          std::int64_t edge_of_tile)
      : tile(tile_)
      , on(arrays)
      , to(adjoints)
      , edge(first + edge_of_tile)
      , e(edge_of_tile)
      , of_distance(w())
      , of_turn{w() + arrays.product.channels, slope()} {}

  KOKKOS_FORCEINLINE_FUNCTION Scalar* w() const { return tile.w + e * on.radial.stride; }

  KOKKOS_FORCEINLINE_FUNCTION Scalar* slope() const { return tile.slope + e * on.radial.stride; }

  /// Adjoint of the source, and the sums per channel.
  KOKKOS_FORCEINLINE_FUNCTION void channels() const {
    const DeviceZonalProduct<S>& p = on.product;
    const MessageAdjoints<S>& messages = to.messages;
    const bool gathers = messages.messages != nullptr;
    Scalar* const adj_x = gathers
                              ? messages.messages + (edge - messages.first_edge) * on.source.width()
                              : messages.source.row(on.edges.source(edge));
    const Scalar* const x = on.source.row(on.edges.source(edge));
    const Scalar* const g = on.out.row(on.edges.center(edge));
    const EdgeFrame<Scalar> frame = tile.frame(e);
    for_lanes<Scalar, 2>(tile.team, p.channels, [&](int c, auto lane) {
      using L = decltype(lane);
      // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): filled below, as far as it is read
      FrameVectors<typename L::Type> at;
      at.n_source = on.source.components;
      at.n_out = on.out.components;
      to_frame<L>(p.l_source, frame, x + c, on.source.stride, at.x);
      to_frame<L>(p.l_out, frame, g + c, on.out.stride, at.g);
      L::store(of_distance + c, zonal_entries_adjoint<L>(p, w() + c, slope() + c, at));
      for (int axis = 0; axis < 2; ++axis) {
        L::store(of_turn[axis] + c, torque(p, axis, at));
      }
      from_frame<L>(p.l_source, frame, at.adj_x, adj_x + c, on.source.stride, !gathers);
    });
  }

  KOKKOS_FORCEINLINE_FUNCTION Accum sum_of(const Scalar* row) const {
    return sum_channels<Accum>(
        tile.team, 0, on.product.channels, [&](int c) { return static_cast<Accum>(row[c]); });
  }

  /// adj_distance, and adj_harmonics of Y_1 = sqrt(3) direction. Rotations of the frame move the
  /// pole along two tangents.
  KOKKOS_FORCEINLINE_FUNCTION void geometry() const {
    const DeviceZonalProduct<S>& p = on.product;
    const Accum along = sum_of(of_distance);
    const Accum about[2] = {sum_of(of_turn[0]), sum_of(of_turn[1])};
    once(tile.team, [&]() {
      to.adj_distance(edge) += along;
      const Accum cos_beta = tile.angles[e * p.angles() + 1];
      const Accum sin_beta = tile.angles[e * p.angles() + p.l_turned + 1];
      const Accum cos_alpha = tile.frame(e).azimuth[0];
      const Accum sin_alpha = tile.frame(e).azimuth[1];
      const Accum tangent[2][3] = {{sin_alpha * cos_beta, -sin_beta, cos_alpha * cos_beta},
                                   {cos_alpha, Accum(0), -sin_alpha}};
      Scalar* const adj_y1 = to.adj_harmonics.data() + edge * p.harmonics_stride + 1;
      for (int axis = 0; axis < 3; ++axis) {
        adj_y1[axis] += static_cast<Scalar>(
            (about[0] * tangent[0][axis] + about[1] * tangent[1][axis]) / Kokkos::sqrt(Accum(3)));
      }
    });
  }
};

/// Adjoint for a chunk of groups; see edge_product_adjoint.
template <class S> void zonal_product_adjoint(const typename S::Exec& space,
                                              const EdgeSchedule::Chunk& chunk,
                                              const ZonalArrays<S>& arrays,
                                              const ProductAdjoints<S>& adjoints) {
  using Team = typename S::Team;
  const std::int32_t first_group = chunk.first_group;
  Kokkos::parallel_for(
      "eqnn::zonal_product_adjoint",
      team_policy<S>(
          space, chunk.n_groups, ZonalTile<S>::scratch_bytes(arrays.product, arrays.radial)),
      KOKKOS_LAMBDA(const Team& team) {
        const std::int32_t group = first_group + static_cast<std::int32_t>(team.league_rank());
        const DeviceEdges<S>& edges = arrays.edges;
        const DeviceZonalProduct<S>& p = arrays.product;
        const ZonalTile<S> at(team, edges, p, arrays.radial);
        for_tiles_of_group(team, edges, group, p.tile_edges, [&](const EdgeTile<S>& tile) {
          radial_rows<true>(team, arrays.radial, edges, tile.first, tile.n, at.w, at.slope);
          at.frames(tile);
          for_rows(team, tile.n, [&](std::int64_t e) {
            const ZonalAdjointEdge<S> of_edge(at, arrays, adjoints, tile.first, e);
            of_edge.channels();
            of_edge.geometry();
          });
        });
      });
}

template <class S> struct ZonalProductStage {
  using Scalar = typename S::Scalar;

  plan::ZonalProduct op;
  DeviceZonalProduct<S> product;

  ZonalProductStage(plan::ZonalProduct host, DeviceTables<S>& tables)
      : op(std::move(host)) {
    DeviceZonalProduct<S>& p = product;
    p.l_source = op.l_source;
    p.l_out = op.l_out;
    p.l_turned = op.l_turned;
    p.channels = padded_channels<Scalar>(tables.channels_of(op.out));
    p.entries = op.entries;
    p.entries_stride = padded_channels<Scalar>(op.entries);
    p.harmonics_stride = tables.harmonics_stride();
    const std::int32_t n_angles = 2 * op.l_turned + 1;
    p.polar = tables.template array<Scalar>(
        "eqnn::polar_turns",
        pack<Scalar>(op.polar, n_angles, op.entries, n_angles, p.entries_stride));
    p.n_axial = op.n_axial;
    p.n_pairs = static_cast<std::int32_t>(op.pairs.size());
    p.pairs = tables.template array<plan::ZonalPair>("eqnn::zonal_pairs", op.pairs);
    std::vector<DeviceZonalTerm<Scalar>> terms;
    terms.reserve(op.terms.size());
    for (const plan::ZonalTerm& term : op.terms) {
      terms.push_back({term.l * p.channels, static_cast<Scalar>(term.value)});
    }
    p.terms = tables.template array<DeviceZonalTerm<Scalar>>("eqnn::zonal_terms", terms);
    for (const std::size_t axis : {0U, 1U}) {
      std::vector<DeviceTurn<Scalar>> turns;
      turns.reserve(op.turns[axis].size());
      for (const plan::Turn& turn : op.turns[axis]) {
        turns.push_back({turn.i, turn.j, static_cast<Scalar>(turn.value)});
      }
      p.n_turns[axis] = static_cast<std::int32_t>(turns.size());
      p.turns[axis] = tables.template array<DeviceTurn<Scalar>>("eqnn::turns", turns);
    }
    p.tile_edges =
        tile_edges<Scalar>(2 * tables.radial_stride(op.radial) + p.entries_stride + p.angles());
    release(op.polar);
  }

  std::int32_t message_width(const DeviceTables<S>& tables) const {
    return tables.pitch_of(op.source.value);
  }

  void forward(const Context<S>& at) const {
    zonal_product(at.space(), arrays(at, at.value(op.out)));
  }

  void adjoint(const Context<S>& at) const {
    const ZonalArrays<S> reverse = arrays(at, at.adjoint(op.out));
    at.adjoint_along_edges(
        op.source, {}, [&](const EdgeSchedule::Chunk& chunk, const MessageAdjoints<S>& messages) {
          zonal_product_adjoint(
              at.space(),
              chunk,
              reverse,
              ProductAdjoints<S>{messages, at.adj_harmonics(), at.adj_distance()});
        });
  }

private:
  ZonalArrays<S> arrays(const Context<S>& at, const Rows<Scalar>& out) const {
    return {at.edges(), product, at.radial(op.radial), at.value(op.source), out};
  }
};

} // namespace eqnn::kernels
