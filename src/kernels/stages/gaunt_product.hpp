// SPDX-License-Identifier: BSD-3-Clause
// The product of two functions on the sphere, node by node: by tables, by values on a grid, or in a
// Fourier basis. docs/spec/gaunt.md
#pragma once

#include "kernels/context.hpp"
#include "kernels/sphere_transform.hpp"
#include "plan/stages/gaunt_product.hpp"

#include <algorithm>

namespace eqnn::kernels {

/// out[k] += value a[i] b[j]
template <class Scalar> struct DeviceTriple {
  std::int32_t i = 0, j = 0, k = 0;
  Scalar value = 0;
};

template <class S> struct DeviceGauntProduct {
  std::int32_t stride = 0;
  std::int32_t d_a = 0, d_b = 0, d_out = 0;
  bool is_sparse = true;
  /// [components, stride] each, one row per component. Empty: all ones, or no curl for scale_curl.
  Array<S, typename S::Scalar> scale_a, scale_b, scale_out, scale_curl;
  std::int32_t n_gaunt = 0, n_curl = 0;
  Array<S, const DeviceTriple<typename S::Scalar>> gaunt, curl;
  /// The `order` of of_* is always set.
  DeviceTransform<S> of_a, of_b, of_out, gradient_a[2], gradient_b[2];

  KOKKOS_INLINE_FUNCTION bool has_curl() const { return scale_curl.extent(0) > 0; }
};

/// A table of triples and its two factors, rows [d, stride].
template <class S> struct TripleSum {
  Array<S, const DeviceTriple<typename S::Scalar>> triples;
  std::int32_t n = 0;
  std::int32_t stride = 0;
  const typename S::Scalar *a = nullptr, *b = nullptr;
};

/// y[k] += sum of value a[i] b[j] over the triples, for the channels of a lane.
template <class L, class S> KOKKOS_FORCEINLINE_FUNCTION void
sum_triples(const TripleSum<S>& sum, int c, typename S::Scalar* y) {
  typename L::Type product{};
  int i = -1;
  int j = -1;
  for (int t = 0; t < sum.n; ++t) {
    const auto triple = sum.triples(t);
    if (triple.i != i || triple.j != j) {
      i = triple.i;
      j = triple.j;
      product = L::load(sum.a + i * sum.stride + c) * L::load(sum.b + j * sum.stride + c);
    }
    L::add(y + triple.k * sum.stride + c, triple.value * product);
  }
}

/// adj_a[i] += value b[j] adj_y[k], adj_b[j] += value a[i] adj_y[k].
template <class L, class S>
KOKKOS_FORCEINLINE_FUNCTION void sum_triples_adjoint(const TripleSum<S>& of,
                                                     int c,
                                                     const typename S::Scalar* adj_y,
                                                     typename S::Scalar* adj_a,
                                                     typename S::Scalar* adj_b) {
  for (int t = 0; t < of.n;) {
    const auto first = of.triples(t);
    typename L::Type sum{};
    for (; t < of.n && of.triples(t).i == first.i && of.triples(t).j == first.j; ++t) {
      sum += of.triples(t).value * L::load(adj_y + of.triples(t).k * of.stride + c);
    }
    L::add(adj_a + first.i * of.stride + c, sum * L::load(of.b + first.j * of.stride + c));
    L::add(adj_b + first.j * of.stride + c, sum * L::load(of.a + first.i * of.stride + c));
  }
}

/// One node's product: its arrays in scratch, and the steps of the forward pass and of the adjoint.
template <class S> struct ProductNode {
  using Scalar = typename S::Scalar;
  using Team = typename S::Team;

  const Team& team;
  const DeviceGauntProduct<S>& p;
  int s;                 ///< stride
  std::int64_t points;   ///< scalars of a function given at the points
  Scalar *a, *b;         ///< scaled inputs [d, stride]
  Scalar *even, *odd;    ///< product and curl, or their adjoints [d_out, stride]
  Scalar *adj_a, *adj_b; ///< [d, stride]
  Scalar *f_a, *f_b, *f; ///< [points, stride]
  Scalar *g_a, *g_b;     ///< [2, points, stride]
  Scalar* series;

  static std::int64_t scratch(const DeviceGauntProduct<S>& p) {
    return p.stride * (std::int64_t{2} * (p.d_a + p.d_b + p.d_out) +
                       (p.has_curl() ? 7 : 3) * std::int64_t{p.of_out.n_points} +
                       std::max({p.of_a.series(), p.of_b.series(), p.of_out.series()}));
  }

  KOKKOS_INLINE_FUNCTION
  ProductNode(const Team& team_, const DeviceGauntProduct<S>& product, Scalar* data)
      : team(team_)
      , p(product)
      , s(product.stride)
      , points(std::int64_t{product.stride} * product.of_out.n_points) {
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

  KOKKOS_FORCEINLINE_FUNCTION ScaledOrder<S> order_a() const {
    return {p.of_a.order, p.scale_a, p.d_a, s};
  }

  KOKKOS_FORCEINLINE_FUNCTION ScaledOrder<S> order_b() const {
    return {p.of_b.order, p.scale_b, p.d_b, s};
  }

  KOKKOS_FORCEINLINE_FUNCTION ScaledOrder<S> order_out(const Array<S, Scalar>& scale) const {
    return {p.of_out.order, scale, p.d_out, s};
  }

  KOKKOS_FORCEINLINE_FUNCTION void take_factors(const Scalar* in_a, const Scalar* in_b) const {
    gather_scaled<S>(team, order_a(), in_a, a);
    gather_scaled<S>(team, order_b(), in_b, b);
  }

  // ---- by tables ----

  KOKKOS_FORCEINLINE_FUNCTION void multiply_by_tables() const {
    for_rows(team, 1, [&](std::int64_t) {
      for_channels(team, 2 * p.d_out * s, [&](int c) { even[c] = 0; });
      for_lanes<Scalar>(team, s, [&](int c, auto lane) {
        using L = decltype(lane);
        sum_triples<L, S>({p.gaunt, p.n_gaunt, s, a, b}, c, even);
        sum_triples<L, S>({p.curl, p.n_curl, s, a, b}, c, odd);
      });
    });
    barrier(team);
  }

  KOKKOS_FORCEINLINE_FUNCTION void tables_adjoint() const {
    for_rows(team, 1, [&](std::int64_t) {
      for_channels(team, (p.d_a + p.d_b) * s, [&](int c) { adj_a[c] = 0; });
      for_lanes<Scalar>(team, s, [&](int c, auto lane) {
        using L = decltype(lane);
        sum_triples_adjoint<L, S>({p.gaunt, p.n_gaunt, s, a, b}, c, even, adj_a, adj_b);
        sum_triples_adjoint<L, S>({p.curl, p.n_curl, s, a, b}, c, odd, adj_a, adj_b);
      });
    });
    barrier(team);
  }

  // ---- by values at points ----

  KOKKOS_FORCEINLINE_FUNCTION void values_at_points() const {
    to_points<S>(team, p.of_a, s, a, series, f_a);
    to_points<S>(team, p.of_b, s, b, series, f_b);
  }

  KOKKOS_FORCEINLINE_FUNCTION void slopes_at_points() const {
    for (int tangent = 0; tangent < 2; ++tangent) {
      to_points<S>(team, p.gradient_a[tangent], s, a, series, g_a + tangent * points);
      to_points<S>(team, p.gradient_b[tangent], s, b, series, g_b + tangent * points);
    }
  }

  /// Calls body(k) for each scalar of a function at the points.
  template <class Body> KOKKOS_FORCEINLINE_FUNCTION void at_points(const Body& body) const {
    for_rows(team, p.of_out.n_points, [&](std::int64_t q) {
      for_channels(team, s, [&](int c) { body(q * s + c); });
    });
    barrier(team);
  }

  KOKKOS_FORCEINLINE_FUNCTION void multiply_at_points() const {
    values_at_points();
    at_points([&](std::int64_t k) { f[k] = f_a[k] * f_b[k]; });
    from_points<false, S>(team, p.of_out, s, f, series, even);
    if (p.has_curl()) {
      slopes_at_points();
      at_points(
          [&](std::int64_t k) { f[k] = g_a[k] * g_b[points + k] - g_a[points + k] * g_b[k]; });
      from_points<false, S>(team, p.of_out, s, f, series, odd);
    }
  }

  KOKKOS_FORCEINLINE_FUNCTION void points_adjoint() const {
    values_at_points();
    to_points<S>(team, p.of_out, s, even, series, f);
    at_points([&](std::int64_t k) {
      const Scalar value_a = f_a[k];
      f_a[k] = f[k] * f_b[k];
      f_b[k] = f[k] * value_a;
    });
    from_points<false, S>(team, p.of_a, s, f_a, series, adj_a);
    from_points<false, S>(team, p.of_b, s, f_b, series, adj_b);
    if (p.has_curl()) {
      curl_adjoint();
    }
  }

  KOKKOS_FORCEINLINE_FUNCTION void curl_adjoint() const {
    slopes_at_points();
    to_points<S>(team, p.of_out, s, odd, series, f);
    at_points([&](std::int64_t k) {
      const Scalar adjoint = f[k];
      const Scalar a1 = g_a[k];
      const Scalar a2 = g_a[points + k];
      g_a[k] = adjoint * g_b[points + k];
      g_a[points + k] = -adjoint * g_b[k];
      g_b[points + k] = adjoint * a1;
      g_b[k] = -adjoint * a2;
    });
    for (int tangent = 0; tangent < 2; ++tangent) {
      from_points<true, S>(team, p.gradient_a[tangent], s, g_a + tangent * points, series, adj_a);
      from_points<true, S>(team, p.gradient_b[tangent], s, g_b + tangent * points, series, adj_b);
    }
  }
};

template <class S> void gaunt_product(const typename S::Exec& space,
                                      std::int64_t n_nodes,
                                      const DeviceGauntProduct<S>& p,
                                      const Rows<typename S::Scalar>& in_a,
                                      const Rows<typename S::Scalar>& in_b,
                                      const Rows<typename S::Scalar>& out) {
  using Scalar = typename S::Scalar;
  using Team = typename S::Team;
  const std::int64_t size = ProductNode<S>::scratch(p);
  Kokkos::parallel_for(
      "eqnn::gaunt_product",
      team_policy<S>(space, n_nodes, Scratch<Team>::template bytes<Scalar>(size)),
      KOKKOS_LAMBDA(const Team& team) {
        const std::int64_t node = team.league_rank();
        const ProductNode<S> at(team, p, Scratch<Team>(team).template take<Scalar>(size));
        at.take_factors(in_a.row(node), in_b.row(node));
        if (p.is_sparse) {
          at.multiply_by_tables();
        } else {
          at.multiply_at_points();
        }
        scatter_scaled<S>(team, at.order_out(p.scale_out), at.even, out.row(node), false);
        if (p.has_curl()) {
          scatter_scaled<S>(team, at.order_out(p.scale_curl), at.odd, out.row(node), true);
        }
      });
}

template <class S> void gaunt_product_adjoint(const typename S::Exec& space,
                                              std::int64_t n_nodes,
                                              const DeviceGauntProduct<S>& p,
                                              const AdjointRows<typename S::Scalar>& of_a,
                                              const AdjointRows<typename S::Scalar>& of_b) {
  using Scalar = typename S::Scalar;
  using Team = typename S::Team;
  const std::int64_t size = ProductNode<S>::scratch(p);
  Kokkos::parallel_for(
      "eqnn::gaunt_product_adjoint",
      team_policy<S>(space, n_nodes, Scratch<Team>::template bytes<Scalar>(size)),
      KOKKOS_LAMBDA(const Team& team) {
        const std::int64_t node = team.league_rank();
        const ProductNode<S> at(team, p, Scratch<Team>(team).template take<Scalar>(size));
        const Scalar* const adj_y = of_a.adj_out.row(node);
        at.take_factors(of_a.in.row(node), of_b.in.row(node));
        gather_scaled<S>(team, at.order_out(p.scale_out), adj_y, at.even);
        if (p.has_curl()) {
          gather_scaled<S>(team, at.order_out(p.scale_curl), adj_y, at.odd);
        }
        if (p.is_sparse) {
          at.tables_adjoint();
        } else {
          at.points_adjoint();
        }
        scatter_scaled<S>(team, at.order_a(), at.adj_a, of_a.adj_in.row(node), of_a.keep());
        scatter_scaled<S>(team, at.order_b(), at.adj_b, of_b.adj_in.row(node), of_b.keep());
      });
}

/// [l_max + 1, channels] -> [components, stride]
template <class S>
Array<S, typename S::Scalar> scale_of_components(const std::vector<double>& scale,
                                                 std::int32_t channels,
                                                 DeviceTables<S>& tables) {
  const std::int32_t stride = padded_channels<typename S::Scalar>(channels);
  std::vector<double> out;
  const auto n_degrees = static_cast<std::int32_t>(scale.size()) / channels;
  for (std::int32_t l = 0; l < n_degrees; ++l) {
    const auto begin = scale.begin() + std::ptrdiff_t{l} * channels;
    const auto row = pad({begin, begin + channels}, stride);
    for (std::int32_t m = 0; m < 2 * l + 1; ++m) {
      out.insert(out.end(), row.begin(), row.end());
    }
  }
  return tables.template array<typename S::Scalar>("eqnn::product_scale", out);
}

template <class S> struct GauntProductStage {
  using Scalar = typename S::Scalar;

  plan::GauntProduct op;
  DeviceGauntProduct<S> product;

  GauntProductStage(plan::GauntProduct host, DeviceTables<S>& tables)
      : op(std::move(host)) {
    DeviceGauntProduct<S>& p = product;
    const std::int32_t channels = tables.channels_of(op.a.value);
    p.stride = padded_channels<Scalar>(channels);
    p.d_a = tables.value(op.a.value).components;
    p.d_b = tables.value(op.b.value).components;
    p.d_out = tables.value(op.out).components;
    p.scale_a = scale_of_components<S>(op.scale_a, channels, tables);
    p.scale_b = scale_of_components<S>(op.scale_b, channels, tables);
    p.scale_out = scale_of_components<S>(op.scale_out, channels, tables);
    p.scale_curl = scale_of_components<S>(op.scale_curl, channels, tables);
    const auto table = [&](const std::vector<plan::Triple>& triples) {
      std::vector<DeviceTriple<Scalar>> list;
      list.reserve(triples.size());
      for (const plan::Triple& t : triples) {
        list.push_back({t.i, t.j, t.k, static_cast<Scalar>(t.value)});
      }
      return tables.template array<DeviceTriple<Scalar>>("eqnn::product_table", list);
    };
    p.n_gaunt = static_cast<std::int32_t>(op.gaunt.size());
    p.n_curl = static_cast<std::int32_t>(op.curl.size());
    p.gaunt = table(op.gaunt);
    p.curl = table(op.curl);
    p.is_sparse = op.method == plan::SphereMethod::Sparse;
    const auto in_order = [](std::int32_t n) {
      plan::SphereTransform identity;
      for (std::int32_t k = 0; k < n; ++k) {
        identity.order.push_back(k);
      }
      return identity;
    };
    p.of_a = transform<S>(p.is_sparse ? in_order(p.d_a) : op.of_a, tables);
    p.of_b = transform<S>(p.is_sparse ? in_order(p.d_b) : op.of_b, tables);
    p.of_out = transform<S>(p.is_sparse ? in_order(p.d_out) : op.of_out, tables);
    for (const int tangent : {0, 1}) {
      p.gradient_a[tangent] = transform<S>(op.gradient_a[tangent], tables);
      p.gradient_b[tangent] = transform<S>(op.gradient_b[tangent], tables);
      op.gradient_a[tangent] = op.gradient_b[tangent] = {};
    }
    op.of_a = op.of_b = op.of_out = {};
    release(op.gaunt);
    release(op.curl);
  }

  std::int32_t message_width(const DeviceTables<S>&) const { return 0; }

  void forward(const Context<S>& at) const {
    gaunt_product(
        at.space(), at.n_centers(), product, at.value(op.a), at.value(op.b), at.value(op.out));
  }

  void adjoint(const Context<S>& at) const {
    gaunt_product_adjoint(at.space(),
                          at.n_centers(),
                          product,
                          at.adjoint_rows(op.a, op.out),
                          at.adjoint_rows(op.b, op.out));
  }
};

} // namespace eqnn::kernels
