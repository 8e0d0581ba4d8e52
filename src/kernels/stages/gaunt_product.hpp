// SPDX-License-Identifier: BSD-3-Clause
// The product of two functions on the sphere, node by node: by table, by values on a grid, or in a Fourier
// basis. docs/spec/gaunt.md
#pragma once

#include "kernels/context.hpp"
#include "kernels/sphere_transform.hpp"
#include "plan/stages/gaunt_product.hpp"

#include <algorithm>

namespace eqnn::kernels {

/// value[k] += coefficient a[i] b[j]
template <class Scalar> struct DeviceTriple {
  std::int32_t i = 0, j = 0, k = 0;
  Scalar value = 0;
};

template <class S> struct DeviceGauntProduct {
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
template <class S> struct ProductScratch {
  using Scalar = typename S::Scalar;
  Scalar *a, *b;         ///< scaled inputs [d, stride]
  Scalar *even, *odd;    ///< product and curl, or their adjoints [d_out, stride]
  Scalar *adj_a, *adj_b; ///< [d, stride]
  Scalar *f_a, *f_b, *f; ///< [points, stride]
  Scalar *g_a, *g_b;     ///< [2, points, stride]
  Scalar* series;

  static std::int64_t size(const DeviceGauntProduct<S>& p) {
    return p.stride * (std::int64_t{2} * (p.d_a + p.d_b + p.d_out) +
                       (p.has_curl() ? 7 : 3) * std::int64_t{p.of_out.n_points} +
                       std::max({p.of_a.series(), p.of_b.series(), p.of_out.series()}));
  }

  KOKKOS_INLINE_FUNCTION ProductScratch(const DeviceGauntProduct<S>& p, Scalar* data) {
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

template <class S> void gaunt_product(const typename S::Exec& space,
                                      std::int64_t n_nodes,
                                      const DeviceGauntProduct<S>& p,
                                      const Rows<typename S::Scalar>& in_a,
                                      const Rows<typename S::Scalar>& in_b,
                                      const Rows<typename S::Scalar>& out) {
  using Scalar = typename S::Scalar;
  using Team = typename S::Team;
  const std::int64_t size = ProductScratch<S>::size(p);
  Kokkos::parallel_for(
      "eqnn::gaunt_product",
      team_policy<S>(space, n_nodes, Scratch<Team>::template bytes<Scalar>(size)),
      KOKKOS_LAMBDA(const Team& team) {
        const std::int64_t node = team.league_rank();
        const ProductScratch<S> at(p, Scratch<Team>(team).template take<Scalar>(size));
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

template <class S> void gaunt_product_adjoint(const typename S::Exec& space,
                                              std::int64_t n_nodes,
                                              const DeviceGauntProduct<S>& p,
                                              const AdjointRows<typename S::Scalar>& of_a,
                                              const AdjointRows<typename S::Scalar>& of_b) {
  using Scalar = typename S::Scalar;
  using Team = typename S::Team;
  const std::int64_t size = ProductScratch<S>::size(p);
  Kokkos::parallel_for(
      "eqnn::gaunt_product_adjoint",
      team_policy<S>(space, n_nodes, Scratch<Team>::template bytes<Scalar>(size)),
      KOKKOS_LAMBDA(const Team& team) {
        const std::int64_t node = team.league_rank();
        const ProductScratch<S> at(p, Scratch<Team>(team).template take<Scalar>(size));
        const int s = p.stride;
        const Scalar* const adj_y = of_a.adj_out.row(node);
        gather_scaled<S>(team, p.of_a.order, p.scale_a, p.d_a, s, of_a.in.row(node), at.a);
        gather_scaled<S>(team, p.of_b.order, p.scale_b, p.d_b, s, of_b.in.row(node), at.b);
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
        scatter_scaled<S>(
            team, p.of_a.order, p.scale_a, p.d_a, s, at.adj_a, of_a.adj_in.row(node), of_a.keep());
        scatter_scaled<S>(
            team, p.of_b.order, p.scale_b, p.d_b, s, at.adj_b, of_b.adj_in.row(node), of_b.keep());
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
    op.gaunt.clear();
    op.curl.clear();
  }

  /// Scalars of a message that waits for its source; 0: none does.
  std::int32_t message_width([[maybe_unused]] const DeviceTables<S>& tables) const { return 0; }

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
