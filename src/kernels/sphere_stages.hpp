// SPDX-License-Identifier: BSD-3-Clause
// Products and powers of functions on the sphere, node by node, each beside its adjoint: by table, by
// values on a grid, or in a Fourier basis. Formulas: docs/spec/gaunt.md.
#pragma once

#include "kernels/tile_multiply.hpp"
#include "plan/plan.hpp"

#include <algorithm>

namespace eqnn::kernels {

// ---- functions on the sphere: components <-> values at points ----

template <class S> struct DeviceTransform {
  std::int32_t n_components = 0, n_points = 0;
  std::int32_t l_max = 0, n_rings = 0, n_azimuth = 0; ///< n_rings 0: dense
  Array<S, typename S::Scalar> matrix; ///< dense [points, components], or the polar part
  Array<S, typename S::Scalar> azimuthal;
  Array<S, const std::int32_t> order;

  /// Scalars per channel of scratch for the series along the rings.
  KOKKOS_INLINE_FUNCTION std::int64_t series() const {
    return std::int64_t{n_rings} * (2 * l_max + 1);
  }
};

/// f[p, c] = values at the points of the function with components x[k, c], in the transform's order.
/// series: scratch.
template <class S> KOKKOS_INLINE_FUNCTION void to_points(const typename S::Team& team,
                                                         const DeviceTransform<S>& t,
                                                         int stride,
                                                         const typename S::Scalar* x,
                                                         typename S::Scalar* series,
                                                         typename S::Scalar* f) {
  using Scalar = typename S::Scalar;
  if (t.n_rings == 0) {
    multiply<false>(team,
                    t.n_points,
                    stride,
                    t.n_components,
                    Left<Scalar>{t.matrix.data(), t.n_components, 1},
                    row_major(x, stride),
                    f,
                    stride);
    return;
  }
  const int orders = 2 * t.l_max + 1;
  const Scalar* polar = t.matrix.data();
  for (int m = 0; m < orders; ++m) {
    const int degrees = t.l_max - (m < t.l_max ? t.l_max - m : m - t.l_max) + 1;
    multiply<false>(team,
                    t.n_rings,
                    stride,
                    degrees,
                    Left<Scalar>{polar, degrees, 1},
                    row_major(x, stride),
                    series + m * stride,
                    std::int64_t{orders} * stride);
    polar += t.n_rings * degrees;
    x += degrees * stride;
  }
  for (int ring = 0; ring < t.n_rings; ++ring) {
    multiply<false>(team,
                    t.n_azimuth,
                    stride,
                    orders,
                    Left<Scalar>{t.azimuthal.data(), orders, 1},
                    row_major(series + std::int64_t{ring} * orders * stride, stride),
                    f + std::int64_t{ring} * t.n_azimuth * stride,
                    stride);
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
                         t.n_components,
                         stride,
                         t.n_points,
                         Left<Scalar>{t.matrix.data(), 1, t.n_components},
                         row_major(f, stride),
                         x,
                         stride);
    return;
  }
  const int orders = 2 * t.l_max + 1;
  for (int ring = 0; ring < t.n_rings; ++ring) {
    multiply<false>(team,
                    orders,
                    stride,
                    t.n_azimuth,
                    Left<Scalar>{t.azimuthal.data(), 1, orders},
                    row_major(f + std::int64_t{ring} * t.n_azimuth * stride, stride),
                    series + std::int64_t{ring} * orders * stride,
                    stride);
  }
  const Scalar* polar = t.matrix.data();
  for (int m = 0; m < orders; ++m) {
    const int degrees = t.l_max - (m < t.l_max ? t.l_max - m : m - t.l_max) + 1;
    multiply<Accumulate>(team,
                         degrees,
                         stride,
                         t.n_rings,
                         Left<Scalar>{polar, 1, degrees},
                         row_major(series + m * stride, std::int64_t{orders} * stride),
                         x,
                         stride);
    polar += t.n_rings * degrees;
    x += degrees * stride;
  }
}

/// y[k, c] = x[order[k], c] times the scales of that component, where there are any.
template <class S>
KOKKOS_INLINE_FUNCTION void gather_scaled(const typename S::Team& team,
                                          const Array<S, const std::int32_t>& order,
                                          const Array<S, typename S::Scalar>& scale,
                                          int n_components,
                                          int stride,
                                          const typename S::Scalar* x,
                                          typename S::Scalar* y) {
  const bool has_scale = scale.extent(0) > 0;
  for_rows(team, n_components, [&](std::int64_t k) {
    const std::int64_t from = std::int64_t{order(k)} * stride;
    for_channels(team, stride, [&](int c) {
      y[k * stride + c] = has_scale ? x[from + c] * scale(from + c) : x[from + c];
    });
  });
  barrier(team);
}

/// y[order[k], c] = or += x[k, c] times the scales of that component.
template <class S>
KOKKOS_INLINE_FUNCTION void scatter_scaled(const typename S::Team& team,
                                           const Array<S, const std::int32_t>& order,
                                           const Array<S, typename S::Scalar>& scale,
                                           int n_components,
                                           int stride,
                                           const typename S::Scalar* x,
                                           typename S::Scalar* y,
                                           bool keep) {
  const bool has_scale = scale.extent(0) > 0;
  for_rows(team, n_components, [&](std::int64_t k) {
    const std::int64_t to = std::int64_t{order(k)} * stride;
    for_channels(team, stride, [&](int c) {
      const auto scaled = has_scale ? x[k * stride + c] * scale(to + c) : x[k * stride + c];
      y[to + c] = keep ? y[to + c] + scaled : scaled;
    });
  });
  barrier(team);
}

// ---- product of two functions on the sphere ----

/// value[k] += coefficient a[i] b[j]
template <class Scalar> struct DeviceTriple {
  std::int32_t i = 0, j = 0, k = 0;
  Scalar value = 0;
};

template <class S> struct DeviceSphereProduct {
  std::int32_t stride = 0;
  std::int32_t d_a = 0, d_b = 0, d_out = 0;
  bool is_sparse = true;
  /// [components, stride] each, one row a component; empty: ones. curl: no curl.
  Array<S, typename S::Scalar> scale_a, scale_b, scale_out, scale_curl;
  std::int32_t n_gaunt = 0, n_curl = 0;
  Array<S, const DeviceTriple<typename S::Scalar>> gaunt, curl;
  /// of_*.order is there in any case
  DeviceTransform<S> of_a, of_b, of_out, gradient_a[2], gradient_b[2];

  KOKKOS_INLINE_FUNCTION bool has_curl() const { return scale_curl.extent(0) > 0; }
};

/// The arrays that a product needs in scratch, forward and in reverse.
template <class S> struct SphereScratch {
  using Scalar = typename S::Scalar;
  Scalar *a, *b;         ///< scaled inputs [d, stride]
  Scalar *even, *odd;    ///< product and curl, or their adjoints [d_out, stride]
  Scalar *adj_a, *adj_b; ///< [d, stride]
  Scalar *f_a, *f_b, *f; ///< [points, stride]
  Scalar *g_a, *g_b;     ///< [2, points, stride]
  Scalar* series;

  static std::int64_t size(const DeviceSphereProduct<S>& p) {
    return p.stride * (std::int64_t{2} * (p.d_a + p.d_b + p.d_out) +
                       (p.has_curl() ? 7 : 3) * std::int64_t{p.of_out.n_points} +
                       std::max({p.of_a.series(), p.of_b.series(), p.of_out.series()}));
  }

  KOKKOS_INLINE_FUNCTION SphereScratch(const DeviceSphereProduct<S>& p, Scalar* data) {
    const std::int64_t s = p.stride;
    const std::int64_t points = s * p.of_out.n_points;
    a = data;
    b = a + s * p.d_a;
    even = b + s * p.d_b;
    odd = even + s * p.d_out;
    adj_a = odd + s * p.d_out;
    adj_b = adj_a + s * p.d_a;
    f_a = adj_b + s * p.d_b;
    f_b = f_a + points;
    f = f_b + points;
    g_a = f + points;
    g_b = g_a + (p.has_curl() ? 2 * points : 0);
    series = g_b + (p.has_curl() ? 2 * points : 0);
  }
};

/// y[k] += sum of value a[i] b[j] over the triples.
template <class S, class L, class Triples>
KOKKOS_FORCEINLINE_FUNCTION void sum_triples(const Triples& triples,
                                             int n,
                                             int stride,
                                             int c,
                                             const L&,
                                             const typename S::Scalar* a,
                                             const typename S::Scalar* b,
                                             typename S::Scalar* y) {
  typename L::Type product{};
  int i = -1;
  int j = -1;
  for (int t = 0; t < n; ++t) {
    const auto triple = triples(t);
    if (triple.i != i || triple.j != j) {
      i = triple.i;
      j = triple.j;
      product = L::load(a + i * stride + c) * L::load(b + j * stride + c);
    }
    L::add(y + triple.k * stride + c, triple.value * product);
  }
}

template <class S> void sphere_product(const typename S::Exec& space,
                                       std::int64_t n_nodes,
                                       const DeviceSphereProduct<S>& p,
                                       const Rows<typename S::Scalar>& in_a,
                                       const Rows<typename S::Scalar>& in_b,
                                       const Rows<typename S::Scalar>& out) {
  using Scalar = typename S::Scalar;
  using Team = typename S::Team;
  const std::int64_t size = SphereScratch<S>::size(p);
  Kokkos::parallel_for(
      "eqnn::sphere_product",
      team_policy<S>(space, n_nodes, Scratch<Team>::template bytes<Scalar>(size)),
      KOKKOS_LAMBDA(const Team& team) {
        const std::int64_t node = team.league_rank();
        const SphereScratch<S> at(p, Scratch<Team>(team).template take<Scalar>(size));
        const int s = p.stride;
        gather_scaled<S>(team, p.of_a.order, p.scale_a, p.d_a, s, in_a.row(node), at.a);
        gather_scaled<S>(team, p.of_b.order, p.scale_b, p.d_b, s, in_b.row(node), at.b);
        if (p.is_sparse) {
          for_rows(team, 1, [&](std::int64_t) {
            for_channels(team, 2 * p.d_out * s, [&](int c) { at.even[c] = 0; });
            for_lanes<Scalar>(team, s, [&](int c, auto lane) {
              sum_triples<S>(p.gaunt, p.n_gaunt, s, c, lane, at.a, at.b, at.even);
              sum_triples<S>(p.curl, p.n_curl, s, c, lane, at.a, at.b, at.odd);
            });
          });
          barrier(team);
        } else {
          const int n = p.of_out.n_points;
          to_points<S>(team, p.of_a, s, at.a, at.series, at.f_a);
          to_points<S>(team, p.of_b, s, at.b, at.series, at.f_b);
          for_rows(team, n, [&](std::int64_t q) {
            for_channels(
                team, s, [&](int c) { at.f[q * s + c] = at.f_a[q * s + c] * at.f_b[q * s + c]; });
          });
          barrier(team);
          from_points<false, S>(team, p.of_out, s, at.f, at.series, at.even);
          if (p.has_curl()) {
            const std::int64_t points = std::int64_t{n} * s;
            for (int tangent = 0; tangent < 2; ++tangent) {
              Scalar* const g_a = at.g_a + tangent * points;
              Scalar* const g_b = at.g_b + tangent * points;
              to_points<S>(team, p.gradient_a[tangent], s, at.a, at.series, g_a);
              to_points<S>(team, p.gradient_b[tangent], s, at.b, at.series, g_b);
            }
            for_rows(team, n, [&](std::int64_t q) {
              for_channels(team, s, [&](int c) {
                const std::int64_t k = q * s + c;
                at.f[k] = at.g_a[k] * at.g_b[points + k] - at.g_a[points + k] * at.g_b[k];
              });
            });
            barrier(team);
            from_points<false, S>(team, p.of_out, s, at.f, at.series, at.odd);
          }
        }
        scatter_scaled<S>(
            team, p.of_out.order, p.scale_out, p.d_out, s, at.even, out.row(node), false);
        if (p.has_curl()) {
          scatter_scaled<S>(
              team, p.of_out.order, p.scale_curl, p.d_out, s, at.odd, out.row(node), true);
        }
      });
}

/// Of the triples: adj_a[i] += value b[j] adj_y[k], adj_b[j] += value a[i] adj_y[k].
template <class S, class L, class Triples>
KOKKOS_FORCEINLINE_FUNCTION void sum_triples_adjoint(const Triples& triples,
                                                     int n,
                                                     int stride,
                                                     int c,
                                                     const L&,
                                                     const typename S::Scalar* a,
                                                     const typename S::Scalar* b,
                                                     const typename S::Scalar* adj_y,
                                                     typename S::Scalar* adj_a,
                                                     typename S::Scalar* adj_b) {
  for (int t = 0; t < n;) {
    const auto first = triples(t);
    typename L::Type sum{};
    for (; t < n && triples(t).i == first.i && triples(t).j == first.j; ++t) {
      sum += triples(t).value * L::load(adj_y + triples(t).k * stride + c);
    }
    L::add(adj_a + first.i * stride + c, sum * L::load(b + first.j * stride + c));
    L::add(adj_b + first.j * stride + c, sum * L::load(a + first.i * stride + c));
  }
}

template <class S> void sphere_product_adjoint(const typename S::Exec& space,
                                               std::int64_t n_nodes,
                                               const DeviceSphereProduct<S>& p,
                                               const Rows<typename S::Scalar>& in_a,
                                               const Rows<typename S::Scalar>& in_b,
                                               const Rows<typename S::Scalar>& adj_out,
                                               const Rows<typename S::Scalar>& adj_in_a,
                                               plan::Write write_a,
                                               const Rows<typename S::Scalar>& adj_in_b,
                                               plan::Write write_b) {
  using Scalar = typename S::Scalar;
  using Team = typename S::Team;
  const std::int64_t size = SphereScratch<S>::size(p);
  Kokkos::parallel_for(
      "eqnn::sphere_product_adjoint",
      team_policy<S>(space, n_nodes, Scratch<Team>::template bytes<Scalar>(size)),
      KOKKOS_LAMBDA(const Team& team) {
        const std::int64_t node = team.league_rank();
        const SphereScratch<S> at(p, Scratch<Team>(team).template take<Scalar>(size));
        const int s = p.stride;
        const Scalar* const adj_y = adj_out.row(node);
        gather_scaled<S>(team, p.of_a.order, p.scale_a, p.d_a, s, in_a.row(node), at.a);
        gather_scaled<S>(team, p.of_b.order, p.scale_b, p.d_b, s, in_b.row(node), at.b);
        gather_scaled<S>(team, p.of_out.order, p.scale_out, p.d_out, s, adj_y, at.even);
        if (p.has_curl()) {
          gather_scaled<S>(team, p.of_out.order, p.scale_curl, p.d_out, s, adj_y, at.odd);
        }
        if (p.is_sparse) {
          for_rows(team, 1, [&](std::int64_t) {
            for_channels(team, (p.d_a + p.d_b) * s, [&](int c) { at.adj_a[c] = 0; });
            for_lanes<Scalar>(team, s, [&](int c, auto lane) {
              sum_triples_adjoint<S>(
                  p.gaunt, p.n_gaunt, s, c, lane, at.a, at.b, at.even, at.adj_a, at.adj_b);
              sum_triples_adjoint<S>(
                  p.curl, p.n_curl, s, c, lane, at.a, at.b, at.odd, at.adj_a, at.adj_b);
            });
          });
          barrier(team);
        } else {
          const int n = p.of_out.n_points;
          to_points<S>(team, p.of_a, s, at.a, at.series, at.f_a);
          to_points<S>(team, p.of_b, s, at.b, at.series, at.f_b);
          to_points<S>(team, p.of_out, s, at.even, at.series, at.f);
          for_rows(team, n, [&](std::int64_t q) {
            for_channels(team, s, [&](int c) {
              const std::int64_t k = q * s + c;
              const Scalar value_a = at.f_a[k];
              at.f_a[k] = at.f[k] * at.f_b[k];
              at.f_b[k] = at.f[k] * value_a;
            });
          });
          barrier(team);
          from_points<false, S>(team, p.of_a, s, at.f_a, at.series, at.adj_a);
          from_points<false, S>(team, p.of_b, s, at.f_b, at.series, at.adj_b);
          if (p.has_curl()) {
            const std::int64_t points = std::int64_t{n} * s;
            for (int tangent = 0; tangent < 2; ++tangent) {
              Scalar* const g_a = at.g_a + tangent * points;
              Scalar* const g_b = at.g_b + tangent * points;
              to_points<S>(team, p.gradient_a[tangent], s, at.a, at.series, g_a);
              to_points<S>(team, p.gradient_b[tangent], s, at.b, at.series, g_b);
            }
            to_points<S>(team, p.of_out, s, at.odd, at.series, at.f);
            for_rows(team, n, [&](std::int64_t q) {
              for_channels(team, s, [&](int c) {
                const std::int64_t k = q * s + c;
                const Scalar adjoint = at.f[k];
                const Scalar a1 = at.g_a[k];
                const Scalar a2 = at.g_a[points + k];
                at.g_a[k] = adjoint * at.g_b[points + k];
                at.g_a[points + k] = -adjoint * at.g_b[k];
                at.g_b[points + k] = adjoint * a1;
                at.g_b[k] = -adjoint * a2;
              });
            });
            barrier(team);
            for (int tangent = 0; tangent < 2; ++tangent) {
              const Scalar* const g_a = at.g_a + tangent * points;
              const Scalar* const g_b = at.g_b + tangent * points;
              from_points<true, S>(team, p.gradient_a[tangent], s, g_a, at.series, at.adj_a);
              from_points<true, S>(team, p.gradient_b[tangent], s, g_b, at.series, at.adj_b);
            }
          }
        }
        scatter_scaled<S>(team,
                          p.of_a.order,
                          p.scale_a,
                          p.d_a,
                          s,
                          at.adj_a,
                          adj_in_a.row(node),
                          write_a == plan::Write::Add);
        scatter_scaled<S>(team,
                          p.of_b.order,
                          p.scale_b,
                          p.d_b,
                          s,
                          at.adj_b,
                          adj_in_b.row(node),
                          write_b == plan::Write::Add);
      });
}

// ---- powers of a function on the sphere ----

template <class S> struct DeviceSpherePower {
  std::int32_t stride = 0, d_in = 0, d_out = 0, n_orders = 0;
  DeviceTransform<S> of_in, of_out;
  /// [n_species, n_orders, d_out, stride], a row a component in the order of of_out
  Array<S, typename S::Scalar> weights;

  /// Scalars of scratch: components in and out, three functions, series.
  std::int64_t scratch() const {
    return stride * (std::int64_t{d_in} + d_out + 3 * std::int64_t{of_out.n_points} +
                     std::max(of_in.series(), of_out.series()));
  }
};

template <class S> void sphere_power(const typename S::Exec& space,
                                     const DeviceEdges<S>& edges,
                                     const DeviceSpherePower<S>& p,
                                     const Rows<typename S::Scalar>& in,
                                     const Rows<typename S::Scalar>& out) {
  using Scalar = typename S::Scalar;
  using Team = typename S::Team;
  const std::int64_t size = p.scratch();
  Kokkos::parallel_for(
      "eqnn::sphere_power",
      team_policy<S>(space, edges.n_centers, Scratch<Team>::template bytes<Scalar>(size)),
      KOKKOS_LAMBDA(const Team& team) {
        const std::int64_t node = team.league_rank();
        const int s = p.stride;
        const int n = p.of_out.n_points;
        Scalar* const x = Scratch<Team>(team).template take<Scalar>(size);
        Scalar* const y = x + p.d_in * s;
        Scalar* const f = y + p.d_out * s;
        Scalar* const power = f + std::int64_t{n} * s;
        Scalar* const series = power + 2 * std::int64_t{n} * s;
        Scalar* const result = out.row(node);
        gather_scaled<S>(team, p.of_in.order, {}, p.d_in, s, in.row(node), x);
        to_points<S>(team, p.of_in, s, x, series, f);
        for (int nu = 0; nu < p.n_orders; ++nu) {
          for_rows(team, n, [&](std::int64_t q) {
            for_channels(team, s, [&](int c) {
              const std::int64_t k = q * s + c;
              power[k] = nu == 0 ? f[k] : power[k] * f[k];
            });
          });
          barrier(team);
          from_points<false, S>(team, p.of_out, s, power, series, y);
          const Scalar* const weights =
              p.weights.data() +
              (std::int64_t{edges.species(node)} * p.n_orders + nu) * p.d_out * s;
          for_rows(team, p.d_out, [&](std::int64_t k) {
            Scalar* const row = result + std::int64_t{p.of_out.order(k)} * s;
            for_channels(team, s, [&](int c) {
              const Scalar term = weights[k * s + c] * y[k * s + c];
              row[c] = nu == 0 ? term : row[c] + term;
            });
          });
          barrier(team);
        }
      });
}

/// adj_f = sum over nu of nu f^(nu-1) h_nu, h_nu the values of the function weight_nu adj_out.
template <class S> void sphere_power_adjoint(const typename S::Exec& space,
                                             const DeviceEdges<S>& edges,
                                             const DeviceSpherePower<S>& p,
                                             const Rows<typename S::Scalar>& in,
                                             const Rows<typename S::Scalar>& adj_out,
                                             const Rows<typename S::Scalar>& adj_in,
                                             plan::Write write) {
  using Scalar = typename S::Scalar;
  using Team = typename S::Team;
  const std::int64_t size = p.scratch();
  Kokkos::parallel_for(
      "eqnn::sphere_power_adjoint",
      team_policy<S>(space, edges.n_centers, Scratch<Team>::template bytes<Scalar>(size)),
      KOKKOS_LAMBDA(const Team& team) {
        const std::int64_t node = team.league_rank();
        const int s = p.stride;
        const int n = p.of_out.n_points;
        Scalar* const x = Scratch<Team>(team).template take<Scalar>(size);
        Scalar* const y = x + p.d_in * s;
        Scalar* const f = y + p.d_out * s;
        Scalar* const h = f + std::int64_t{n} * s;
        Scalar* const adj_f = h + std::int64_t{n} * s;
        Scalar* const series = adj_f + std::int64_t{n} * s;
        const Scalar* const adj_y = adj_out.row(node);
        gather_scaled<S>(team, p.of_in.order, {}, p.d_in, s, in.row(node), x);
        to_points<S>(team, p.of_in, s, x, series, f);
        // Horner's rule in f, from the highest order down
        for (int nu = p.n_orders - 1; nu >= 0; --nu) {
          const Scalar* const weights =
              p.weights.data() +
              (std::int64_t{edges.species(node)} * p.n_orders + nu) * p.d_out * s;
          for_rows(team, p.d_out, [&](std::int64_t k) {
            const Scalar* const row = adj_y + std::int64_t{p.of_out.order(k)} * s;
            for_channels(team, s, [&](int c) { y[k * s + c] = weights[k * s + c] * row[c]; });
          });
          barrier(team);
          to_points<S>(team, p.of_out, s, y, series, h);
          const auto factor = static_cast<Scalar>(nu + 1);
          const bool is_first = nu == p.n_orders - 1;
          for_rows(team, n, [&](std::int64_t q) {
            for_channels(team, s, [&](int c) {
              const std::int64_t k = q * s + c;
              adj_f[k] = factor * h[k] + (is_first ? Scalar(0) : adj_f[k] * f[k]);
            });
          });
          barrier(team);
        }
        from_points<false, S>(team, p.of_in, s, adj_f, series, x);
        scatter_scaled<S>(
            team, p.of_in.order, {}, p.d_in, s, x, adj_in.row(node), write == plan::Write::Add);
      });
}

} // namespace eqnn::kernels
