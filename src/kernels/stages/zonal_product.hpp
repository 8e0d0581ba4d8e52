// SPDX-License-Identifier: BSD-3-Clause
// Gaunt convolution in the frame of each edge: out[., c] += sum over edges of R^T A_e[c] R source[., c].
// R turns the edge to the polar axis; there the filter is zonal, so that A couples components of the
// same order m only, cosines and sines alike. docs/spec/gaunt.md
//
// A team owns a group of centres and works through their edges in tiles. R is a
// turn about the pole (two components at a time) and then a turn in the plane of pole and edge, which
// mixes neither cosines with sines nor degrees: one matrix [l + 1, l + 1] and one [l, l] a degree.
// A's entries exist for one (l1, l3, m) at a time.
#pragma once

#include "kernels/context.hpp"
#include "kernels/stages/edge_product.hpp"
#include "plan/stages/zonal_product.hpp"

namespace eqnn::kernels {

inline constexpr int kMostZonalDegree = plan::kMostZonalDegree;
inline constexpr int kMostZonal = (kMostZonalDegree + 1) * (kMostZonalDegree + 1);

template <class Scalar> struct DeviceZonalTerm {
  std::int32_t weight = 0; ///< channel of the radial function where those of the degree begin
  Scalar value = 0;
};

template <class Scalar> struct DeviceTurn {
  std::int32_t i = 0, j = 0;
  Scalar value = 0;
};

template <class S> struct DeviceZonalProduct {
  using Scalar = typename S::Scalar;

  std::int32_t l_source = 0, l_out = 0, l_turned = 0;
  std::int32_t channels = 0; ///< padded
  std::int32_t entries = 0, entries_stride = 0;
  std::int32_t harmonics_stride = 0, tile_edges = 0;
  std::int32_t n_axial = 0, n_pairs = 0; ///< pairs with m = 0 come first
  std::int32_t n_turns[2] = {0, 0};
  Array<S, Scalar> polar; ///< [2 l_turned + 1; entries], packed
  Array<S, const plan::ZonalPair> pairs;
  Array<S, const DeviceZonalTerm<Scalar>> terms;
  Array<S, const DeviceTurn<Scalar>> turns[2];

  /// An edge's angles: 1, cos(k beta), sin(k beta), then cos(m alpha), sin(m alpha) in turn.
  KOKKOS_INLINE_FUNCTION std::int32_t angles() const { return 4 * l_turned + 1; }
};

/// Of loops whose bounds are constants. nvcc unrolls them unasked, and its host compiler would not
/// know its word.
#ifdef __CUDACC__
#define EQNN_UNROLL
#else
#define EQNN_UNROLL _Pragma("GCC unroll 9")
#endif

/// out[k] = sum_j d[j, k] in[j], or of the transposed d.
template <bool Transposed, class Scalar, class V>
KOKKOS_FORCEINLINE_FUNCTION void turn_block(int n, const Scalar* d, const V* in, V* out) {
  const int along_j = Transposed ? 1 : n;
  const int along_k = Transposed ? n : 1;
  const auto rows = [&](auto size, int first) {
    constexpr int kSize = decltype(size)::value;
    V sum[kSize] = {};
    for (int j = 0; j < n; ++j) {
      const Scalar* const column = d + j * along_j + first * along_k;
      EQNN_UNROLL for (int k = 0; k < kSize; ++k) { sum[k] += column[k * along_k] * in[j]; }
    }
    EQNN_UNROLL for (int k = 0; k < kSize; ++k) { out[first + k] = sum[k]; }
  };
  const auto one_by_one = [&rows](int size) {
    for (int k = 0; k < size; ++k) {
      rows(std::integral_constant<int, 1>{}, k);
    }
  };
#ifdef EQNN_VECTOR_TYPES
  KOKKOS_IF_ON_HOST((static_cast<void>(one_by_one); if (n > 0) { host::for_chunks(n, rows); }))
  KOKKOS_IF_ON_DEVICE((one_by_one(n);))
#else
  one_by_one(n);
#endif
}

/// Components in the frame of the edge, degree by degree: cosines of m = 0 .. l, sines of m = 1 .. l.
template <class L, class Scalar> KOKKOS_FORCEINLINE_FUNCTION void to_frame(int l_max,
                                                                           const Scalar* polar,
                                                                           const Scalar* azimuth,
                                                                           const Scalar* x,
                                                                           int stride,
                                                                           typename L::Type* out) {
  using V = typename L::Type;
  V t[2 * kMostZonalDegree + 1];
  for (int l = 0; l <= l_max; ++l) {
    const Scalar* const row = x + (l * l + l) * stride;
    t[0] = L::load(row);
    for (int m = 1; m <= l; ++m) {
      const Scalar c = azimuth[2 * m - 2];
      const Scalar s = azimuth[2 * m - 1];
      const V plus = L::load(row + m * stride);
      const V minus = L::load(row - m * stride);
      t[m] = c * plus;
      t[m] += s * minus;
      t[l + m] = c * minus;
      t[l + m] += -s * plus;
    }
    turn_block<false>(l + 1, polar, t, out + l * l);
    polar += (l + 1) * (l + 1);
    turn_block<false>(l, polar, t + l + 1, out + l * l + l + 1);
    polar += l * l;
  }
}

/// The way back, transposed: x += what is given, or = where not Keep.
template <class L, class Scalar>
KOKKOS_FORCEINLINE_FUNCTION void from_frame(int l_max,
                                            const Scalar* polar,
                                            const Scalar* azimuth,
                                            const typename L::Type* in,
                                            Scalar* x,
                                            int stride,
                                            bool keep) {
  using V = typename L::Type;
  V t[2 * kMostZonalDegree + 1];
  const auto give = [keep](Scalar* p, const V& v) { keep ? L::add(p, v) : L::store(p, v); };
  for (int l = 0; l <= l_max; ++l) {
    turn_block<true>(l + 1, polar, in + l * l, t);
    polar += (l + 1) * (l + 1);
    turn_block<true>(l, polar, in + l * l + l + 1, t + l + 1);
    polar += l * l;
    Scalar* const row = x + (l * l + l) * stride;
    give(row, t[0]);
    for (int m = 1; m <= l; ++m) {
      const Scalar c = azimuth[2 * m - 2];
      const Scalar s = azimuth[2 * m - 1];
      V plus = c * t[m];
      plus += -s * t[l + m];
      V minus = s * t[m];
      minus += c * t[l + m];
      give(row + m * stride, plus);
      give(row - m * stride, minus);
    }
  }
}

/// A's entry of a pair of degrees and an order.
template <class L, class S>
KOKKOS_FORCEINLINE_FUNCTION typename L::Type zonal_entry(const DeviceZonalProduct<S>& p,
                                                         const plan::ZonalPair& pair,
                                                         const typename S::Scalar* w) {
  typename L::Type a{};
  for (int t = pair.first_term; t < pair.first_term + pair.n_terms; ++t) {
    a += p.terms(t).value * L::load(w + p.terms(t).weight);
  }
  return a;
}

/// Buffers of one tile.
template <class S> struct ZonalTile {
  using Scalar = typename S::Scalar;
  using Team = typename S::Team;

  const Team& team;
  const DeviceEdges<S>& edges;
  const DeviceZonalProduct<S>& p;
  Scalar *w, *slope;      ///< [tile, radial.stride]
  Scalar *angles, *polar; ///< [tile, p.angles()], [tile, entries_stride]

  KOKKOS_INLINE_FUNCTION static std::int64_t scalars(const DeviceZonalProduct<S>& p,
                                                     const DeviceRadial<S>& radial) {
    return 2 * radial.stride + p.entries_stride + p.angles();
  }

  static std::size_t scratch_bytes(const DeviceZonalProduct<S>& p, const DeviceRadial<S>& radial) {
    return Scratch<Team>::template bytes<Scalar>(p.tile_edges * scalars(p, radial));
  }

  KOKKOS_INLINE_FUNCTION ZonalTile(const Team& team_,
                                   const DeviceEdges<S>& edges_,
                                   const DeviceZonalProduct<S>& p_,
                                   const DeviceRadial<S>& radial)
      : team(team_)
      , edges(edges_)
      , p(p_) {
    const std::int64_t n = p.tile_edges;
    w = Scratch<Team>(team_).template take<Scalar>(n * scalars(p, radial));
    slope = w + n * radial.stride;
    polar = slope + n * radial.stride;
    angles = polar + n * p.entries_stride;
  }

  /// The angles of each edge, and from them its matrices. At the pole any azimuth will do: A is
  /// the same whatever the turn about the edge.
  KOKKOS_FORCEINLINE_FUNCTION void frames(const EdgeTile<S>& tile) const {
    for_rows(team, tile.n, [&](std::int64_t e) {
      once(team, [&]() {
        const std::int64_t edge = tile.first + e;
        const double inverse = 1.0 / edges.distance(edge);
        const double x = edges.vector(3 * edge) * inverse;
        const double y = edges.vector(3 * edge + 1) * inverse;
        const double z = edges.vector(3 * edge + 2) * inverse;
        const double across = Kokkos::hypot(x, z);
        const double cos_alpha = across > 0 ? z / across : 1.0;
        const double sin_alpha = across > 0 ? x / across : 0.0;
        const int l = p.l_turned;
        Scalar* const of_beta = angles + e * p.angles();
        Scalar* const of_alpha = of_beta + 2 * l + 1;
        double c_alpha = 1, s_alpha = 0, c_beta = 1, s_beta = 0;
        of_beta[0] = 1;
        for (int k = 1; k <= l; ++k) {
          const double c = c_alpha * cos_alpha - s_alpha * sin_alpha;
          s_alpha = s_alpha * cos_alpha + c_alpha * sin_alpha;
          c_alpha = c;
          const double d = c_beta * y - s_beta * across;
          s_beta = s_beta * y + c_beta * across;
          c_beta = d;
          of_beta[k] = static_cast<Scalar>(c_beta);
          of_beta[l + k] = static_cast<Scalar>(s_beta);
          of_alpha[2 * k - 2] = static_cast<Scalar>(c_alpha);
          of_alpha[2 * k - 1] = static_cast<Scalar>(s_alpha);
        }
      });
    });
    barrier(team);
    multiply<false>(team,
                    static_cast<int>(tile.n),
                    p.entries_stride,
                    2 * p.l_turned + 1,
                    Left<Scalar>{angles, p.angles(), 1},
                    packed(p.polar.data(), 2 * p.l_turned + 1),
                    polar,
                    p.entries_stride);
  }

  KOKKOS_FORCEINLINE_FUNCTION const Scalar* azimuth(std::int64_t e) const {
    return angles + e * p.angles() + 2 * p.l_turned + 1;
  }
};

/// What a stage works on, forward and in reverse.
template <class S> struct ZonalArrays {
  DeviceEdges<S> edges;
  DeviceZonalProduct<S> product;
  DeviceRadial<S> radial;
  Rows<typename S::Scalar> source, out; ///< out: of the adjoint, in reverse
};

template <class S> void zonal_product(const typename S::Exec& space, const ZonalArrays<S>& arrays) {
  using Scalar = typename S::Scalar;
  using Team = typename S::Team;
  Kokkos::parallel_for(
      "eqnn::zonal_product",
      team_policy<S>(
          space, arrays.edges.n_groups, ZonalTile<S>::scratch_bytes(arrays.product, arrays.radial)),
      KOKKOS_LAMBDA(const Team& team) {
        const std::int32_t g = static_cast<std::int32_t>(team.league_rank());
        const auto& [edges, p, radial, source, out] = arrays;
        const ZonalTile<S> at(team, edges, p, radial);
        clear_rows<S>(team, out, edges.group(g), edges.group(g + 1));
        for_tiles_of_group(team, edges, g, p.tile_edges, [&](const EdgeTile<S>& tile) {
          radial_rows<false>(team, radial, &edges.distance(tile.first), tile.n, at.w, at.w);
          at.frames(tile);
          for_rows(team, edges.group(g + 1) - edges.group(g), [&](std::int64_t r) {
            const std::int64_t i = edges.group(g) + r;
            const std::int64_t end = tile.first + tile.n;
            const std::int64_t last = edges.begin(i + 1) < end ? edges.begin(i + 1) : end;
            const std::int64_t first = edges.begin(i) < tile.first ? tile.first : edges.begin(i);
            for (std::int64_t edge = first; edge < last; ++edge) {
              const std::int64_t e = edge - tile.first;
              const Scalar* const polar = at.polar + e * p.entries_stride;
              const Scalar* const w = at.w + e * radial.stride;
              for_lanes<Scalar, 2>(team, p.channels, [&](int c, auto lane) {
                using L = decltype(lane);
                using V = typename L::Type;
                V x[kMostZonal];
                V y[kMostZonal];
                to_frame<L>(p.l_source,
                            polar,
                            at.azimuth(e),
                            source.row(edges.source(edge)) + c,
                            source.stride,
                            x);
                for (int k = 0; k < out.components; ++k) {
                  y[k] = V{};
                }
                for (int q = 0; q < p.n_axial; ++q) {
                  const plan::ZonalPair pair = p.pairs(q);
                  y[pair.out] += zonal_entry<L>(p, pair, w + c) * x[pair.in];
                }
                for (int q = p.n_axial; q < p.n_pairs; ++q) {
                  const plan::ZonalPair pair = p.pairs(q);
                  const V a = zonal_entry<L>(p, pair, w + c);
                  y[pair.out] += a * x[pair.in];
                  y[pair.out_sine] += a * x[pair.in_sine];
                }
                from_frame<L>(p.l_out, polar, at.azimuth(e), y, out.row(i) + c, out.stride, true);
              });
            }
          });
        });
      });
}

/// y . (G g) + x_adjoint . (G x), with G the generator of a turn: antisymmetric.
template <class S, class V> KOKKOS_FORCEINLINE_FUNCTION V torque(const DeviceZonalProduct<S>& p,
                                                                 int axis,
                                                                 const V* y,
                                                                 const V* g,
                                                                 const V* adj_x,
                                                                 const V* x,
                                                                 int n_out,
                                                                 int n_source) {
  using Scalar = typename S::Scalar;
  V sum{};
  for (int k = 0; k < p.n_turns[axis]; ++k) {
    const DeviceTurn<Scalar> turn = p.turns[axis](k);
    V term{};
    if (turn.j < n_out) {
      term += y[turn.i] * g[turn.j];
      term += Scalar(-1) * (y[turn.j] * g[turn.i]);
    }
    if (turn.j < n_source) {
      term += adj_x[turn.i] * x[turn.j];
      term += Scalar(-1) * (adj_x[turn.j] * x[turn.i]);
    }
    sum += turn.value * term;
  }
  return sum;
}

/// Adjoint for a chunk of groups; see edge_product_adjoint. With
/// x, g, y = A x and A^T g in the frame: dE/dA = g x^T, and the energy's change with the direction of
/// the edge is that of a turned frame, since A does not depend on it.
template <class S> void zonal_product_adjoint(const typename S::Exec& space,
                                              const EdgeSchedule::Chunk& chunk,
                                              const ZonalArrays<S>& arrays,
                                              const ProductAdjoints<S>& to) {
  using Scalar = typename S::Scalar;
  using Accum = typename S::Accum;
  using Team = typename S::Team;
  const std::int32_t first_group = chunk.first_group;
  Kokkos::parallel_for(
      "eqnn::zonal_product_adjoint",
      team_policy<S>(
          space, chunk.n_groups, ZonalTile<S>::scratch_bytes(arrays.product, arrays.radial)),
      KOKKOS_LAMBDA(const Team& team) {
        const auto& [edges, p, radial, source, adj_out] = arrays;
        const auto& [adjoints, adj_harmonics, adj_distance] = to;
        const std::int32_t group = first_group + static_cast<std::int32_t>(team.league_rank());
        const ZonalTile<S> at(team, edges, p, radial);
        for_tiles_of_group(team, edges, group, p.tile_edges, [&](const EdgeTile<S>& tile) {
          radial_rows<true>(team, radial, &edges.distance(tile.first), tile.n, at.w, at.slope);
          at.frames(tile);
          for_rows(team, tile.n, [&](std::int64_t e) {
            const std::int64_t edge = tile.first + e;
            const bool gathers = adjoints.messages != nullptr;
            Scalar* const adj_x_row =
                gathers ? adjoints.messages + (edge - adjoints.first_edge) * source.width()
                        : adjoints.source.row(edges.source(edge));
            const Scalar* const x_row = source.row(edges.source(edge));
            const Scalar* const g_row = adj_out.row(edges.center(edge));
            const Scalar* const polar = at.polar + e * p.entries_stride;
            const Scalar* const azimuth = at.azimuth(e);
            Scalar* const w = at.w + e * radial.stride;
            Scalar* const slope = at.slope + e * radial.stride;
            // Sums of each channel take the place of radial functions that are no longer needed.
            Scalar* const of_distance = w;
            Scalar* const of_turn[2] = {w + p.channels, slope};
            for_lanes<Scalar, 2>(team, p.channels, [&](int c, auto lane) {
              using L = decltype(lane);
              using V = typename L::Type;
              V x[kMostZonal];
              V g[kMostZonal];
              V y[kMostZonal];
              V adj_x[kMostZonal];
              to_frame<L>(p.l_source, polar, azimuth, x_row + c, source.stride, x);
              to_frame<L>(p.l_out, polar, azimuth, g_row + c, adj_out.stride, g);
              for (int k = 0; k < source.components; ++k) {
                adj_x[k] = V{};
              }
              for (int k = 0; k < adj_out.components; ++k) {
                y[k] = V{};
              }
              V stretch{};
              for (int q = 0; q < p.n_pairs; ++q) {
                const plan::ZonalPair pair = p.pairs(q);
                const V a = zonal_entry<L>(p, pair, w + c);
                y[pair.out] += a * x[pair.in];
                adj_x[pair.in] += a * g[pair.out];
                V adj_a = g[pair.out] * x[pair.in];
                if (q >= p.n_axial) {
                  y[pair.out_sine] += a * x[pair.in_sine];
                  adj_x[pair.in_sine] += a * g[pair.out_sine];
                  adj_a += g[pair.out_sine] * x[pair.in_sine];
                }
                stretch += adj_a * zonal_entry<L>(p, pair, slope + c);
              }
              L::store(of_distance + c, stretch);
              for (int axis = 0; axis < 2; ++axis) {
                L::store(of_turn[axis] + c,
                         torque(p, axis, y, g, adj_x, x, adj_out.components, source.components));
              }
              from_frame<L>(
                  p.l_source, polar, azimuth, adj_x, adj_x_row + c, source.stride, !gathers);
            });
            const auto sum_of = [&](const Scalar* row) {
              return sum_channels<Accum>(
                  team, 0, p.channels, [&](int c) { return static_cast<Accum>(row[c]); });
            };
            const Accum along = sum_of(of_distance);
            const Accum about[2] = {sum_of(of_turn[0]), sum_of(of_turn[1])};
            once(team, [&]() {
              adj_distance(edge) += along;
              // The pole's way in the frame is along these tangents; Y_1 = sqrt(3) direction.
              const Accum cos_beta = at.angles[e * p.angles() + 1];
              const Accum sin_beta = at.angles[e * p.angles() + p.l_turned + 1];
              const Accum cos_alpha = azimuth[0];
              const Accum sin_alpha = azimuth[1];
              const Accum tangent[2][3] = {{sin_alpha * cos_beta, -sin_beta, cos_alpha * cos_beta},
                                           {cos_alpha, Accum(0), -sin_alpha}};
              Scalar* const adj_y1 = adj_harmonics.data() + edge * p.harmonics_stride + 1;
              for (int axis = 0; axis < 3; ++axis) {
                adj_y1[axis] += static_cast<Scalar>(
                    (about[0] * tangent[0][axis] + about[1] * tangent[1][axis]) /
                    Kokkos::sqrt(Accum(3)));
              }
            });
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
    op.polar.clear();
  }

  /// Scalars of a message that waits for its source; 0: none does.
  std::int32_t message_width([[maybe_unused]] const DeviceTables<S>& tables) const {
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
