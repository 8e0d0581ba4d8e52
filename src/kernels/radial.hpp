// SPDX-License-Identifier: BSD-3-Clause
// Radial functions from their tables (plan::RadialTable). One Horner pass gives all channels of an
// edge.
#pragma once

#include "kernels/tile_multiply.hpp"

#include <cmath>
#include <type_traits>

namespace eqnn::kernels {

template <class S> struct DeviceRadial {
  std::int32_t n_intervals = 0, degree = 0, stride = 0; ///< stride: channels, padded with zeros
  double intervals_per_angstrom = 0.0;
  Array<S, typename S::Scalar> coefficients; ///< [n_intervals, degree + 1, stride]

  // If the function depends on species (n_species > 0): plan::PairTable, one after another. The
  // arrays belong to DeviceTables.
  std::int32_t n_species = 0, n_cells = 0;
  double cells_per_angstrom = 0.0;
  const std::int32_t* table_of_pair = nullptr;    ///< [n_species, n_species] of center and source
  const std::int32_t* interval_of_cell = nullptr; ///< [n_tables, n_cells]
  const double* middle = nullptr;                 ///< [n_intervals] Angstrom
  const double* scale = nullptr;                  ///< [n_intervals] 1/Angstrom
};

/// Locates an edge of length r in the single table for all species: its interval, and t in [-1, 1].
template <class S> KOKKOS_FORCEINLINE_FUNCTION std::int32_t
find_interval(const DeviceRadial<S>& radial, double r, typename S::Scalar& t) {
  const double x = r * radial.intervals_per_angstrom;
  // Edges are shorter than the cutoff, but rounding may still reach it.
  const std::int32_t interval =
      x < radial.n_intervals ? static_cast<std::int32_t>(x) : radial.n_intervals - 1;
  // Compilers fuse the product and the difference in some places and not in others. An explicit fma
  // gives an edge the same bits in every kernel.
#ifdef FP_FAST_FMA
  const double past = Kokkos::fma(r, radial.intervals_per_angstrom, -static_cast<double>(interval));
#else
  const double past = x - interval;
#endif
  t = static_cast<typename S::Scalar>(2.0 * past - 1.0);
  return interval;
}

/// The same in the table for an edge's pair of species.
template <class S>
KOKKOS_FORCEINLINE_FUNCTION std::int32_t find_interval_of_pair(const DeviceRadial<S>& radial,
                                                               const DeviceEdges<S>& edges,
                                                               std::int64_t e,
                                                               typename S::Scalar& t) {
  const double r = edges.distance(e);
  const double x = r * radial.cells_per_angstrom;
  const int cell = x < radial.n_cells ? static_cast<int>(x) : radial.n_cells - 1;
  const std::int32_t pair =
      edges.species(edges.center(e)) * radial.n_species + edges.species(edges.source(e));
  const std::int32_t interval =
      radial.interval_of_cell[std::int64_t{radial.table_of_pair[pair]} * radial.n_cells + cell];
  t = static_cast<typename S::Scalar>((r - radial.middle[interval]) * radial.scale[interval]);
  return interval;
}

template <class S>
KOKKOS_FORCEINLINE_FUNCTION std::int32_t find_interval(const DeviceRadial<S>& radial,
                                                       const DeviceEdges<S>& edges,
                                                       std::int64_t e,
                                                       typename S::Scalar& t) {
  return radial.n_species > 0 ? find_interval_of_pair(radial, edges, e, t)
                              : find_interval(radial, edges.distance(e), t);
}

/// dt/dr in an interval.
template <class S>
KOKKOS_FORCEINLINE_FUNCTION double slope_of(const DeviceRadial<S>& radial, std::int32_t interval) {
  return radial.n_species > 0 ? radial.scale[interval] : 2.0 * radial.intervals_per_angstrom;
}

/// The coefficients of an interval, [degree + 1, stride].
template <class S> KOKKOS_FORCEINLINE_FUNCTION const typename S::Scalar*
coefficients_of(const DeviceRadial<S>& radial, std::int32_t interval) {
  return radial.coefficients.data() + std::int64_t{interval} * (radial.degree + 1) * radial.stride;
}

#ifdef EQNN_VECTOR_TYPES
namespace host {

/// An interval of a table: its coefficients [degree + 1, stride], and dt/dr.
template <class Scalar> struct Interval {
  const Scalar* coefficients;
  int degree;
  int stride;
  Scalar dt_dr;
};

/// Horner's rule for edges in the same interval: coefficients are read once for all of them, and
/// values stay in registers.
template <int Edges, bool WithSlope, class Scalar> inline void
horner(const Interval<Scalar>& of, const Scalar* t, Scalar* const* w, Scalar* const* slope) {
  const auto [coefficients, degree, stride, dt_dr] = of;
  using Vector = typename VectorOf<Scalar>::Type;
  for (int c = 0; c < stride; c += kLanes<Scalar>) {
    const Scalar* row = coefficients + std::int64_t{degree} * stride + c;
    Vector value[Edges];
    Vector derivative[Edges] = {};
#pragma GCC unroll 4
    for (int e = 0; e < Edges; ++e) {
      value[e] = *reinterpret_cast<const Vector*>(row);
    }
    for (int p = degree - 1; p >= 0; --p) {
      row -= stride;
      const Vector next = *reinterpret_cast<const Vector*>(row);
#pragma GCC unroll 4
      for (int e = 0; e < Edges; ++e) {
        if constexpr (WithSlope) {
          derivative[e] = derivative[e] * t[e] + value[e];
        }
        value[e] = value[e] * t[e] + next;
      }
    }
#pragma GCC unroll 4
    for (int e = 0; e < Edges; ++e) {
      *reinterpret_cast<Vector*>(w[e] + c) = value[e];
      if constexpr (WithSlope) {
        *reinterpret_cast<Vector*>(slope[e] + c) = derivative[e] * dt_dr;
      }
    }
  }
}

template <class S> struct RadialPoint {
  const typename S::Scalar* coefficients;
  typename S::Scalar t;
};

/// Evaluates the edges of a tile that share an interval together. point_of(e): coefficients and t
/// of edge e of the tile. slope_at(coefficients): dt/dr of that interval.
template <bool WithSlope, class S, class PointOf, class SlopeAt>
[[gnu::always_inline]] inline void together(const DeviceRadial<S>& radial,
                                            std::int64_t n,
                                            const PointOf& point_of,
                                            const SlopeAt& slope_at,
                                            typename S::Scalar* w,
                                            typename S::Scalar* slope) {
  using Scalar = typename S::Scalar;
  constexpr int kTogether = 4;
  RadialPoint<S> points[kMostTileEdges];
  std::int32_t order[kMostTileEdges];
  for (std::int32_t e = 0; e < n; ++e) { // insertion sort by interval: a tile is short
    points[e] = point_of(e);
    std::int32_t k = e;
    for (; k > 0 && points[order[k - 1]].coefficients > points[e].coefficients; --k) {
      order[k] = order[k - 1];
    }
    order[k] = e;
  }
  for (std::int64_t first = 0; first < n;) {
    const Scalar* const coefficients = points[order[first]].coefficients;
    int edges = 0;
    Scalar t[kTogether];
    Scalar* of_w[kTogether];
    Scalar* of_slope[kTogether];
    while (edges < kTogether && first + edges < n &&
           points[order[first + edges]].coefficients == coefficients) {
      const std::int32_t e = order[first + edges];
      t[edges] = points[e].t;
      of_w[edges] = w + std::int64_t{e} * radial.stride;
      of_slope[edges] = slope + std::int64_t{e} * radial.stride;
      ++edges;
    }
    const Interval<Scalar> interval{
        coefficients, radial.degree, radial.stride, slope_at(coefficients)};
    const auto run = [&](auto count) {
      horner<decltype(count)::value, WithSlope>(interval, t, of_w, of_slope);
    };
    switch (edges) {
    case 1:
      run(std::integral_constant<int, 1>{});
      break;
    case 2:
      run(std::integral_constant<int, 2>{});
      break;
    case 3:
      run(std::integral_constant<int, 3>{});
      break;
    default:
      run(std::integral_constant<int, kTogether>{});
    }
    first += edges;
  }
}

/// Tables of pairs. Like the next function, not inlined: kernels stay small, and the bits of an
/// edge's result do not depend on the kernel or on neighboring edges.
template <bool WithSlope, class S>
[[gnu::noinline]] void radial_tile_of_pairs(const DeviceRadial<S>& radial,
                                            const DeviceEdges<S>& edges,
                                            std::int64_t first_edge,
                                            std::int64_t n,
                                            typename S::Scalar* w,
                                            typename S::Scalar* slope) {
  using Scalar = typename S::Scalar;
  const auto point_of = [&](std::int32_t e) {
    Scalar t;
    const std::int32_t interval = find_interval_of_pair(radial, edges, first_edge + e, t);
    return RadialPoint<S>{coefficients_of(radial, interval), t};
  };
  const auto slope_at = [&](const Scalar* coefficients) {
    const std::int64_t interval = (coefficients - radial.coefficients.data()) /
                                  (std::int64_t{radial.degree + 1} * radial.stride);
    return static_cast<Scalar>(radial.scale[interval]);
  };
  together<WithSlope>(radial, n, point_of, slope_at, w, slope);
}

/// One table for all species.
template <bool WithSlope, class S>
[[gnu::noinline]] void radial_tile_of_all(const DeviceRadial<S>& radial,
                                          const double* distance,
                                          std::int64_t n,
                                          typename S::Scalar* w,
                                          typename S::Scalar* slope) {
  using Scalar = typename S::Scalar;
  const auto dt_dr = static_cast<Scalar>(2.0 * radial.intervals_per_angstrom);
  const auto point_of = [&](std::int32_t e) {
    Scalar t;
    const std::int32_t interval = find_interval(radial, distance[e], t);
    return RadialPoint<S>{coefficients_of(radial, interval), t};
  };
  together<WithSlope>(radial, n, point_of, [&](const Scalar*) { return dt_dr; }, w, slope);
}

/// All edges of a tile.
template <bool WithSlope, class S> inline void radial_tile(const DeviceRadial<S>& radial,
                                                           const DeviceEdges<S>& edges,
                                                           std::int64_t first_edge,
                                                           std::int64_t n,
                                                           typename S::Scalar* w,
                                                           typename S::Scalar* slope) {
  if (radial.n_species > 0) {
    radial_tile_of_pairs<WithSlope>(radial, edges, first_edge, n, w, slope);
  } else {
    radial_tile_of_all<WithSlope>(radial, &edges.distance(first_edge), n, w, slope);
  }
}

} // namespace host
#endif

/// One edge: w[stride], and dw/dr[stride] if WithSlope.
template <bool WithSlope, class S>
KOKKOS_FORCEINLINE_FUNCTION void radial_edge(const typename S::Team& team,
                                             const DeviceRadial<S>& radial,
                                             const DeviceEdges<S>& edges,
                                             std::int64_t e,
                                             typename S::Scalar* w,
                                             typename S::Scalar* slope) {
  using Scalar = typename S::Scalar;
  Scalar t;
  const std::int32_t interval = find_interval(radial, edges, e, t);
  const Scalar* const coefficients = coefficients_of(radial, interval);
  const auto dt_dr = static_cast<Scalar>(slope_of(radial, interval));
  for_channels(team, radial.stride, [&](int c) {
    const Scalar* row = coefficients + std::int64_t{radial.degree} * radial.stride + c;
    Scalar value = *row;
    Scalar derivative = 0;
    for (int p = radial.degree - 1; p >= 0; --p) {
      row -= radial.stride;
      derivative = derivative * t + value;
      value = value * t + *row;
    }
    w[c] = value;
    if constexpr (WithSlope) {
      slope[c] = derivative * dt_dr;
    }
  });
}

/// The same inside for_rows, with the same bits as radial_rows.
template <bool WithSlope, class S>
KOKKOS_FORCEINLINE_FUNCTION void radial_row(const typename S::Team& team,
                                            const DeviceRadial<S>& radial,
                                            const DeviceEdges<S>& edges,
                                            std::int64_t e,
                                            typename S::Scalar* w,
                                            typename S::Scalar* slope) {
#ifdef EQNN_VECTOR_TYPES
  EQNN_IF_ON_HOST((static_cast<void>(team);
                   host::radial_tile<WithSlope>(radial, edges, e, std::int64_t{1}, w, slope);))
  EQNN_IF_ON_DEVICE((radial_edge<WithSlope>(team, radial, edges, e, w, slope);))
#else
  radial_edge<WithSlope>(team, radial, edges, e, w, slope);
#endif
}

/// Rows w[n, stride] of n edges starting at `first`, and their slopes if WithSlope. n is at most
/// kMostTileEdges. Ends with a team barrier.
template <bool WithSlope, class S>
// NOLINTNEXTLINE(readability-function-size): edges, and where their rows go
KOKKOS_FORCEINLINE_FUNCTION void radial_rows(const typename S::Team& team,
                                             const DeviceRadial<S>& radial,
                                             const DeviceEdges<S>& edges,
                                             std::int64_t first,
                                             std::int64_t n,
                                             typename S::Scalar* w,
                                             typename S::Scalar* slope) {
#ifdef EQNN_VECTOR_TYPES
  EQNN_IF_ON_HOST(
      (static_cast<void>(team); host::radial_tile<WithSlope>(radial, edges, first, n, w, slope);))
#else
  EQNN_IF_ON_HOST((for (std::int64_t e = 0; e < n; ++e) {
    radial_edge<WithSlope>(
        team, radial, edges, first + e, w + e * radial.stride, slope + e * radial.stride);
  }))
#endif
  EQNN_IF_ON_DEVICE((for_rows(team,
                              n,
                              [&](std::int64_t e) {
                                radial_edge<WithSlope>(team,
                                                       radial,
                                                       edges,
                                                       first + e,
                                                       w + e * radial.stride,
                                                       slope + e * radial.stride);
                              });
                     barrier(team);))
}

} // namespace eqnn::kernels
