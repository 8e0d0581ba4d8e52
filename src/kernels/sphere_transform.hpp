// SPDX-License-Identifier: BSD-3-Clause
// Functions on the sphere: components <-> values at points. docs/spec/gaunt.md
#pragma once

#include "kernels/context.hpp"
#include "plan/sphere_transform.hpp"

#include <algorithm>

namespace eqnn::kernels {

template <class S> struct DeviceTransform {
  std::int32_t n_components = 0, n_points = 0;
  std::int32_t l_max = 0, n_rings = 0, n_azimuth = 0; ///< n_rings 0: dense
  Array<S, typename S::Scalar> matrix; ///< dense [points, components], or the polar part
  Array<S, typename S::Scalar> azimuthal;
  Array<S, const std::int32_t> order;

  /// Scratch scalars per channel for the series along the rings.
  KOKKOS_INLINE_FUNCTION std::int64_t series() const {
    return std::int64_t{n_rings} * (2 * l_max + 1);
  }
};

/// f[p, c] = values at the points of the function with components x[k, c], in the transform's
/// order. series: scratch.
template <class S> KOKKOS_INLINE_FUNCTION void to_points(const typename S::Team& team,
                                                         const DeviceTransform<S>& t,
                                                         int stride,
                                                         const typename S::Scalar* x,
                                                         typename S::Scalar* series,
                                                         typename S::Scalar* f) {
  using Scalar = typename S::Scalar;
  if (t.n_rings == 0) {
    multiply<false>(team,
                    Extents{t.n_points, stride, t.n_components},
                    Left<Scalar>{t.matrix.data(), t.n_components, 1},
                    row_major(x, stride),
                    Target<Scalar>{f, stride});
    return;
  }
  const int orders = 2 * t.l_max + 1;
  const Scalar* polar = t.matrix.data();
  for (int m = 0; m < orders; ++m) {
    const int degrees = t.l_max - (m < t.l_max ? t.l_max - m : m - t.l_max) + 1;
    multiply<false>(team,
                    Extents{t.n_rings, stride, degrees},
                    Left<Scalar>{polar, degrees, 1},
                    row_major(x, stride),
                    Target<Scalar>{series + m * stride, std::int64_t{orders} * stride});
    polar += t.n_rings * degrees;
    x += degrees * stride;
  }
  for (int ring = 0; ring < t.n_rings; ++ring) {
    multiply<false>(team,
                    Extents{t.n_azimuth, stride, orders},
                    Left<Scalar>{t.azimuthal.data(), orders, 1},
                    row_major(series + std::int64_t{ring} * orders * stride, stride),
                    Target<Scalar>{f + std::int64_t{ring} * t.n_azimuth * stride, stride});
  }
}

/// The transposed map: x[k, c] = or += sum over points.
template <bool Accumulate, class S>
KOKKOS_INLINE_FUNCTION void from_points(const typename S::Team& team,
                                        const DeviceTransform<S>& t,
                                        int stride,
                                        const typename S::Scalar* f,
                                        typename S::Scalar* series,
                                        typename S::Scalar* x) {
  using Scalar = typename S::Scalar;
  if (t.n_rings == 0) {
    multiply<Accumulate>(team,
                         Extents{t.n_components, stride, t.n_points},
                         Left<Scalar>{t.matrix.data(), 1, t.n_components},
                         row_major(f, stride),
                         Target<Scalar>{x, stride});
    return;
  }
  const int orders = 2 * t.l_max + 1;
  for (int ring = 0; ring < t.n_rings; ++ring) {
    multiply<false>(team,
                    Extents{orders, stride, t.n_azimuth},
                    Left<Scalar>{t.azimuthal.data(), 1, orders},
                    row_major(f + std::int64_t{ring} * t.n_azimuth * stride, stride),
                    Target<Scalar>{series + std::int64_t{ring} * orders * stride, stride});
  }
  const Scalar* polar = t.matrix.data();
  for (int m = 0; m < orders; ++m) {
    const int degrees = t.l_max - (m < t.l_max ? t.l_max - m : m - t.l_max) + 1;
    multiply<Accumulate>(team,
                         Extents{degrees, stride, t.n_rings},
                         Left<Scalar>{polar, 1, degrees},
                         row_major(series + m * stride, std::int64_t{orders} * stride),
                         Target<Scalar>{x, stride});
    polar += t.n_rings * degrees;
    x += degrees * stride;
  }
}

/// Components in the order of a transform, with scales if there are any.
template <class S> struct ScaledOrder {
  Array<S, const std::int32_t> order; ///< [n_components]
  Array<S, typename S::Scalar> scale; ///< [n_components, stride] or empty
  std::int32_t n_components = 0;
  std::int32_t stride = 0;
};

/// y[k, c] = x[order[k], c] times that component's scale.
template <class S> KOKKOS_INLINE_FUNCTION void gather_scaled(const typename S::Team& team,
                                                             const ScaledOrder<S>& by,
                                                             const typename S::Scalar* x,
                                                             typename S::Scalar* y) {
  const bool has_scale = by.scale.extent(0) > 0;
  for_rows(team, by.n_components, [&](std::int64_t k) {
    const std::int64_t from = std::int64_t{by.order(k)} * by.stride;
    for_channels(team, by.stride, [&](int c) {
      y[k * by.stride + c] = has_scale ? x[from + c] * by.scale(from + c) : x[from + c];
    });
  });
  barrier(team);
}

/// y[order[k], c] = or += x[k, c] times that component's scale.
template <class S> KOKKOS_INLINE_FUNCTION void scatter_scaled(const typename S::Team& team,
                                                              const ScaledOrder<S>& by,
                                                              const typename S::Scalar* x,
                                                              typename S::Scalar* y,
                                                              bool keep) {
  const bool has_scale = by.scale.extent(0) > 0;
  for_rows(team, by.n_components, [&](std::int64_t k) {
    const std::int64_t to = std::int64_t{by.order(k)} * by.stride;
    for_channels(team, by.stride, [&](int c) {
      const auto value = x[k * by.stride + c];
      const auto scaled = has_scale ? value * by.scale(to + c) : value;
      y[to + c] = keep ? y[to + c] + scaled : scaled;
    });
  });
  barrier(team);
}

template <class S>
DeviceTransform<S> transform(const plan::SphereTransform& host, DeviceTables<S>& tables) {
  DeviceTransform<S> out;
  out.n_components = host.n_components;
  out.n_points = host.n_points;
  out.n_rings = host.n_rings;
  if (host.n_rings > 0) {
    out.n_azimuth = host.n_points / host.n_rings;
    out.l_max = (static_cast<std::int32_t>(host.azimuthal.size()) / out.n_azimuth - 1) / 2;
  }
  out.matrix = tables.template array<typename S::Scalar>(
      "eqnn::sphere_transform", host.n_rings > 0 ? host.polar : host.matrix);
  out.azimuthal =
      tables.template array<typename S::Scalar>("eqnn::sphere_azimuthal", host.azimuthal);
  out.order = tables.template array<std::int32_t>("eqnn::sphere_order", host.order);
  return out;
}

} // namespace eqnn::kernels
