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
};

/// Where an edge of length r falls: the coefficients of its interval, and t in [-1, 1].
template <class S> struct RadialPoint {
  const typename S::Scalar* coefficients;
  typename S::Scalar t;
};

template <class S>
KOKKOS_FORCEINLINE_FUNCTION RadialPoint<S> radial_point(const DeviceRadial<S>& radial, double r) {
  const double x = r * radial.intervals_per_angstrom;
  // Edges are shorter than the cutoff; rounding may still reach it.
  const int interval = x < radial.n_intervals ? static_cast<int>(x) : radial.n_intervals - 1;
  const std::int64_t begin = std::int64_t{interval} * (radial.degree + 1) * radial.stride;
  return {radial.coefficients.data() + begin,
          static_cast<typename S::Scalar>(2.0 * (x - interval) - 1.0)};
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
                                                           const double* distance,
                                                           std::int64_t n,
                                                           typename S::Scalar* w,
                                                           typename S::Scalar* slope) {
  using Scalar = typename S::Scalar;
  constexpr int kTogether = 4;
  const auto dt_dr = static_cast<Scalar>(2.0 * radial.intervals_per_angstrom);
  RadialPoint<S> points[kMostTileEdges];
  std::int32_t order[kMostTileEdges];
  for (std::int32_t e = 0; e < n; ++e) { // insertion sort by interval: a tile is short
    points[e] = radial_point(radial, distance[e]);
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
    const auto run = [&](auto together) {
      horner<decltype(together)::value, WithSlope>(
          Interval<Scalar>{coefficients, radial.degree, radial.stride, dt_dr}, t, of_w, of_slope);
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

} // namespace host
#endif

/// One edge: w[stride], and dw/dr[stride] where asked for.
template <bool WithSlope, class S>
KOKKOS_FORCEINLINE_FUNCTION void radial_edge(const typename S::Team& team,
                                             const DeviceRadial<S>& radial,
                                             double r,
                                             typename S::Scalar* w,
                                             typename S::Scalar* slope) {
  using Scalar = typename S::Scalar;
  const RadialPoint<S> point = radial_point(radial, r);
  const auto dt_dr = static_cast<Scalar>(2.0 * radial.intervals_per_angstrom);
  for_channels(team, radial.stride, [&](int c) {
    const Scalar* row = point.coefficients + std::int64_t{radial.degree} * radial.stride + c;
    Scalar value = *row;
    Scalar derivative = 0;
    for (int p = radial.degree - 1; p >= 0; --p) {
      row -= radial.stride;
      derivative = derivative * point.t + value;
      value = value * point.t + *row;
    }
    w[c] = value;
    if constexpr (WithSlope) {
      slope[c] = derivative * dt_dr;
    }
  });
}

/// Rows w[n, stride] at the distances of n edges, and their slopes where asked for. n is at most
/// kMostTileEdges. Ends with a barrier of the team.
template <bool WithSlope, class S>
KOKKOS_FORCEINLINE_FUNCTION void radial_rows(const typename S::Team& team,
                                             const DeviceRadial<S>& radial,
                                             const double* distance,
                                             std::int64_t n,
                                             typename S::Scalar* w,
                                             typename S::Scalar* slope) {
#ifdef EQNN_VECTOR_TYPES
  EQNN_IF_ON_HOST(
      (static_cast<void>(team); host::radial_tile<WithSlope>(radial, distance, n, w, slope);))
#else
  EQNN_IF_ON_HOST((for (std::int64_t e = 0; e < n; ++e) {
    radial_edge<WithSlope>(
        team, radial, distance[e], w + e * radial.stride, slope + e * radial.stride);
  }))
#endif
  EQNN_IF_ON_DEVICE(
      (for_rows(team,
                n,
                [&](std::int64_t e) {
                  radial_edge<WithSlope>(
                      team, radial, distance[e], w + e * radial.stride, slope + e * radial.stride);
                });
       barrier(team);))
}

} // namespace eqnn::kernels
