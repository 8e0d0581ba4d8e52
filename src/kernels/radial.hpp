// SPDX-License-Identifier: BSD-3-Clause
// Radial functions from their tables (plan::RadialTable): one Horner pass gives all channels of an
// edge.
#pragma once

#include "kernels/tile_multiply.hpp"

#include <type_traits>

namespace eqnn::kernels {

template <class S> struct DeviceRadial {
  std::int32_t n_intervals = 0, degree = 0, stride = 0; ///< stride: channels, padded with zeros
  double intervals_per_angstrom = 0.0;
  Array<S, typename S::Scalar> coefficients; ///< [n_intervals, degree + 1, stride]

  // Where the function depends on species (n_species > 0): plan::PairTable, one after another.
  std::int32_t n_species = 0, n_cells = 0;
  double cells_per_angstrom = 0.0;
  Array<S, std::int32_t> table_of_pair;    ///< [n_species, n_species] of centre and source
  Array<S, std::int32_t> interval_of_cell; ///< [n_tables, n_cells]
  Array<S, double> middle, scale;          ///< [n_intervals]
};

/// Where an edge falls: its interval, t in [-1, 1] there, and dt/dr.
template <class S> struct RadialPoint {
  std::int32_t interval;
  typename S::Scalar t, dt_dr;
};

template <class S> KOKKOS_FORCEINLINE_FUNCTION RadialPoint<S>
radial_point(const DeviceRadial<S>& radial, const DeviceEdges<S>& edges, std::int64_t e) {
  using Scalar = typename S::Scalar;
  // Edges are shorter than the cutoff; rounding may still reach it.
  if (radial.n_species > 0) {
    const double r = edges.distance(e);
    const double x = r * radial.cells_per_angstrom;
    const int cell = x < radial.n_cells ? static_cast<int>(x) : radial.n_cells - 1;
    const std::int32_t pair =
        edges.species(edges.center(e)) * radial.n_species + edges.species(edges.source(e));
    const std::int32_t interval =
        radial.interval_of_cell(std::int64_t{radial.table_of_pair(pair)} * radial.n_cells + cell);
    const double scale = radial.scale(interval);
    return {interval,
            static_cast<Scalar>((r - radial.middle(interval)) * scale),
            static_cast<Scalar>(scale)};
  }
  const double x = edges.distance(e) * radial.intervals_per_angstrom;
  const int interval = x < radial.n_intervals ? static_cast<int>(x) : radial.n_intervals - 1;
  return {interval,
          static_cast<Scalar>(2.0 * (x - interval) - 1.0),
          static_cast<Scalar>(2.0 * radial.intervals_per_angstrom)};
}

/// dt/dr in an interval.
template <class S>
KOKKOS_FORCEINLINE_FUNCTION double slope_of(const DeviceRadial<S>& radial, std::int32_t interval) {
  return radial.n_species > 0 ? radial.scale(interval) : 2.0 * radial.intervals_per_angstrom;
}

/// [degree + 1, stride] of an interval.
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

/// Horner's rule for edges that fall into one interval: coefficients are read once for all, values
/// stay in registers.
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

/// All edges of a tile, those of one interval together.
template <bool WithSlope, class S> inline void radial_tile(const DeviceRadial<S>& radial,
                                                           const DeviceEdges<S>& edges,
                                                           std::int64_t first_edge,
                                                           std::int64_t n,
                                                           typename S::Scalar* w,
                                                           typename S::Scalar* slope) {
  using Scalar = typename S::Scalar;
  constexpr int kTogether = 4;
  RadialPoint<S> points[kMostTileEdges];
  std::int32_t order[kMostTileEdges];
  for (std::int32_t e = 0; e < n; ++e) { // insertion sort by interval: a tile is short
    points[e] = radial_point(radial, edges, first_edge + e);
    std::int32_t k = e;
    for (; k > 0 && points[order[k - 1]].interval > points[e].interval; --k) {
      order[k] = order[k - 1];
    }
    order[k] = e;
  }
  for (std::int64_t first = 0; first < n;) {
    const RadialPoint<S> here = points[order[first]];
    const Scalar* const coefficients = coefficients_of(radial, here.interval);
    int together = 0;
    Scalar t[kTogether];
    Scalar* of_w[kTogether];
    Scalar* of_slope[kTogether];
    while (together < kTogether && first + together < n &&
           points[order[first + together]].interval == here.interval) {
      const std::int32_t e = order[first + together];
      t[together] = points[e].t;
      of_w[together] = w + std::int64_t{e} * radial.stride;
      of_slope[together] = slope + std::int64_t{e} * radial.stride;
      ++together;
    }
    const auto run = [&](auto count) {
      horner<decltype(count)::value, WithSlope>(
          Interval<Scalar>{coefficients, radial.degree, radial.stride, here.dt_dr},
          t,
          of_w,
          of_slope);
    };
    switch (together) {
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
    first += together;
  }
}

} // namespace host
#endif

/// One edge: w[stride], and dw/dr[stride] where asked for.
template <bool WithSlope, class S>
KOKKOS_FORCEINLINE_FUNCTION void radial_edge(const typename S::Team& team,
                                             const DeviceRadial<S>& radial,
                                             const DeviceEdges<S>& edges,
                                             std::int64_t e,
                                             typename S::Scalar* w,
                                             typename S::Scalar* slope) {
  using Scalar = typename S::Scalar;
  const RadialPoint<S> point = radial_point(radial, edges, e);
  const Scalar* const coefficients = coefficients_of(radial, point.interval);
  for_channels(team, radial.stride, [&](int c) {
    const Scalar* row = coefficients + std::int64_t{radial.degree} * radial.stride + c;
    Scalar value = *row;
    Scalar derivative = 0;
    for (int p = radial.degree - 1; p >= 0; --p) {
      row -= radial.stride;
      derivative = derivative * point.t + value;
      value = value * point.t + *row;
    }
    w[c] = value;
    if constexpr (WithSlope) {
      slope[c] = derivative * point.dt_dr;
    }
  });
}

/// Rows w[n, stride] of n edges from `first` on, and their slopes where asked for. n is at most
/// kMostTileEdges. Ends with a barrier of the team.
template <bool WithSlope, class S>
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
