// SPDX-License-Identifier: BSD-3-Clause
// Radial functions from their tables (plan::RadialTable): one Horner pass gives all channels of an
// edge.
#pragma once

#include "kernels/types.hpp"

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

// The loop over powers is outside, so that the one over channels is a plain SIMD loop whatever the
// degree.

/// w[stride] at distance r.
template <class S> KOKKOS_FORCEINLINE_FUNCTION void radial_value(const typename S::Team& team,
                                                                 const DeviceRadial<S>& radial,
                                                                 double r,
                                                                 typename S::Scalar* w) {
  using Scalar = typename S::Scalar;
  const RadialPoint<S> point = radial_point(radial, r);
  const Scalar t = point.t;
  const Scalar* coefficient = point.coefficients + std::int64_t{radial.degree} * radial.stride;
  for_channels(team, radial.stride, [&](int c) { w[c] = coefficient[c]; });
  for (int p = radial.degree - 1; p >= 0; --p) {
    coefficient -= radial.stride;
    for_channels(team, radial.stride, [&](int c) { w[c] = w[c] * t + coefficient[c]; });
  }
}

/// w[stride] and dw/dr[stride].
template <class S>
KOKKOS_FORCEINLINE_FUNCTION void radial_value_and_slope(const typename S::Team& team,
                                                        const DeviceRadial<S>& radial,
                                                        double r,
                                                        typename S::Scalar* w,
                                                        typename S::Scalar* slope) {
  using Scalar = typename S::Scalar;
  const RadialPoint<S> point = radial_point(radial, r);
  const Scalar t = point.t;
  const auto dt_dr = static_cast<Scalar>(2.0 * radial.intervals_per_angstrom);
  const Scalar* coefficient = point.coefficients + std::int64_t{radial.degree} * radial.stride;
  for_channels(team, radial.stride, [&](int c) {
    w[c] = coefficient[c];
    slope[c] = 0;
  });
  for (int p = radial.degree - 1; p >= 0; --p) {
    coefficient -= radial.stride;
    for_channels(team, radial.stride, [&](int c) {
      slope[c] = slope[c] * t + w[c];
      w[c] = w[c] * t + coefficient[c];
    });
  }
  for_channels(team, radial.stride, [&](int c) { slope[c] *= dt_dr; });
}

} // namespace eqnn::kernels
