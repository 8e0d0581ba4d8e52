// SPDX-License-Identifier: BSD-3-Clause
// The frame of an edge, for stages/zonal_product.hpp: rotating functions on the sphere into it and
// back, and the entries of the zonal filter A there.
#pragma once

#include "kernels/context.hpp"
#include "kernels/stages/edge_product_paths.hpp"
#include "plan/stages/zonal_product.hpp"

namespace eqnn::kernels {

inline constexpr int kMostZonalDegree = plan::kMostZonalDegree;
inline constexpr int kMostZonal = (kMostZonalDegree + 1) * (kMostZonalDegree + 1);

template <class Scalar> struct DeviceZonalTerm {
  std::int32_t weight = 0; ///< first channel of the degree in the radial function
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

  /// Numbers per edge: 1, cos(k beta), sin(k beta), then cos(m alpha), sin(m alpha) in turn.
  KOKKOS_INLINE_FUNCTION std::int32_t angles() const { return 4 * l_turned + 1; }
};

/// Unrolls loops with constant bounds. nvcc does so unasked, and its host compiler would not know
/// nvcc's pragma.
#ifdef __CUDACC__
#define EQNN_UNROLL
#else
#define EQNN_UNROLL _Pragma("GCC unroll 9")
#endif

/// out[k] = sum_j d[j, k] in[j], or with d transposed.
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
  EQNN_IF_ON_HOST((static_cast<void>(one_by_one); if (n > 0) { host::for_chunks(n, rows); }))
  EQNN_IF_ON_DEVICE((one_by_one(n);))
#else
  one_by_one(n);
#endif
}

/// The rotation of an edge: about the polar axis, and in the plane of the axis and the edge.
template <class Scalar> struct EdgeFrame {
  const Scalar* polar;   ///< matrices [l + 1, l + 1] and [l, l] of each degree
  const Scalar* azimuth; ///< cos(m alpha), sin(m alpha) in turn
};

/// Components in the frame of the edge, degree by degree: cosines of m = 0 .. l, then sines of m =
/// 1 .. l.
template <class L, class Scalar> KOKKOS_FORCEINLINE_FUNCTION void to_frame(
    int l_max, const EdgeFrame<Scalar>& frame, const Scalar* x, int stride, typename L::Type* out) {
  const Scalar* polar = frame.polar;
  const Scalar* const azimuth = frame.azimuth;
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

/// The transposed rotation, back from the frame: x += the result if keep, else x = the result.
template <class L, class Scalar>
KOKKOS_FORCEINLINE_FUNCTION void from_frame(int l_max,
                                            const EdgeFrame<Scalar>& frame,
                                            const typename L::Type* in,
                                            Scalar* x,
                                            int stride,
                                            bool keep) {
  const Scalar* polar = frame.polar;
  const Scalar* const azimuth = frame.azimuth;
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

/// A's entry for a pair of degrees and an order.
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

  /// The angles of each edge, and its matrices from them. At the pole any azimuth will do, since A
  /// does not change under rotations about the edge.
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
                    Extents{static_cast<int>(tile.n), p.entries_stride, 2 * p.l_turned + 1},
                    Left<Scalar>{angles, p.angles(), 1},
                    packed(p.polar.data(), 2 * p.l_turned + 1),
                    Target<Scalar>{polar, p.entries_stride});
  }

  KOKKOS_FORCEINLINE_FUNCTION EdgeFrame<Scalar> frame(std::int64_t e) const {
    return {polar + e * p.entries_stride, angles + e * p.angles() + 2 * p.l_turned + 1};
  }
};

} // namespace eqnn::kernels
