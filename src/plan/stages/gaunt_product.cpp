// SPDX-License-Identifier: BSD-3-Clause
#include "plan/stages/gaunt_product.hpp"

#include "plan/plan_builder.hpp"
#include "so3/coupling.hpp"

#include <algorithm>
#include <cmath>

namespace eqnn::plan {

namespace {

/// Nonzero entries scale(l1, l2, l3) w3j of a table, sorted by (i, j).
template <class Scale> std::vector<Triple>
triples(std::int32_t l_a, std::int32_t l_b, std::int32_t l_out, const Scale& scale) {
  std::vector<Triple> list;
  for (std::int32_t l1 = 0; l1 <= l_a; ++l1) {
    for (std::int32_t l2 = 0; l2 <= l_b; ++l2) {
      for (std::int32_t l3 = std::abs(l1 - l2); l3 <= std::min(l1 + l2, l_out); ++l3) {
        const double factor = scale(l1, l2, l3);
        if (factor == 0.0) {
          continue;
        }
        const std::vector<double> w3j = so3::wigner_3j(l1, l2, l3);
        std::size_t at = 0;
        for (std::int32_t i = l1 * l1; i < (l1 + 1) * (l1 + 1); ++i) {
          for (std::int32_t j = l2 * l2; j < (l2 + 1) * (l2 + 1); ++j) {
            for (std::int32_t k = l3 * l3; k < (l3 + 1) * (l3 + 1); ++k, ++at) {
              if (std::abs(w3j[at]) > 1e-14) {
                list.push_back({i, j, k, factor * w3j[at]});
              }
            }
          }
        }
      }
    }
  }
  std::stable_sort(list.begin(), list.end(), [](const Triple& x, const Triple& y) {
    return x.i != y.i ? x.i < y.i : x.j < y.j;
  });
  return list;
}

std::vector<double> values_of(const std::optional<Tensor>& tensor) {
  return tensor ? tensor->values : std::vector<double>{};
}

double cost(const GauntProduct& p, double table_rate) {
  if (p.method == SphereMethod::Sparse) {
    return 4.0 * static_cast<double>(p.gaunt.size() + p.curl.size()) / table_rate;
  }
  double factors = flops(p.of_a) + flops(p.of_b);
  for (const int tangent : {0, 1}) {
    factors += flops(p.gradient_a[tangent]) + flops(p.gradient_b[tangent]);
  }
  const double projections = p.scale_curl.empty() ? 1.0 : 2.0;
  return (3.0 * factors + 2.0 * projections * flops(p.of_out)) / rate_of(p.method);
}

GauntProduct
product_by(SphereMethod method, const GauntProductStage& stage, const ProductDegrees& degrees) {
  const auto& [l_a, l_b, l_out] = degrees;
  GauntProduct product;
  product.method = method;
  product.scale_a = values_of(stage.scale_a);
  product.scale_b = values_of(stage.scale_b);
  product.scale_out = values_of(stage.scale_out);
  product.scale_curl = values_of(stage.curl);
  const bool has_curl = stage.curl.has_value();
  if (method == SphereMethod::Sparse) {
    product.gaunt = triples(l_a, l_b, l_out, so3::gaunt_factor);
    if (has_curl) {
      product.curl = triples(l_a, l_b, l_out, so3::curl_factor);
    }
    return product;
  }
  const std::int32_t band = l_a + l_b;
  product.of_a = transform_of(method, l_a, band, l_out, false);
  product.of_b = transform_of(method, l_b, band, l_out, false);
  product.of_out = transform_of(method, l_out, band, l_out, true);
  if (has_curl) {
    for (const int tangent : {0, 1}) {
      const auto quantity = tangent == 0 ? Quantity::AlongRing : Quantity::AcrossRings;
      product.gradient_a[tangent] = transform_of(method, l_a, band, l_out, false, quantity);
      product.gradient_b[tangent] = transform_of(method, l_b, band, l_out, false, quantity);
    }
  }
  return product;
}

} // namespace

std::string GauntProduct::describe(const ValueNames& names) const {
  return names.out(out) + "product on the sphere of " + names.in(a) + " and " + names.in(b) + ", " +
         name_of(method);
}

GauntProduct gaunt_product(const GauntProductStage& stage,
                           const ProductDegrees& degrees,
                           std::optional<SphereMethod> method,
                           double table_rate) {
  if (method) {
    return product_by(*method, stage, degrees);
  }
  GauntProduct best = product_by(SphereMethod::Sparse, stage, degrees);
  for (const auto other : {SphereMethod::Grid, SphereMethod::Fourier}) {
    GauntProduct candidate = product_by(other, stage, degrees);
    if (cost(candidate, table_rate) < cost(best, table_rate)) {
      best = std::move(candidate);
    }
  }
  return best;
}

void lower(const GauntProductStage& op, PlanBuilder& build) {
  GauntProduct product =
      gaunt_product(op,
                    {build.stage(op.a).l_max, build.stage(op.b).l_max, build.current().l_max},
                    build.options().products,
                    build.options().table_rate);
  build.note_product(product.method);
  product.a = build.compact(op.a);
  product.b = build.compact(op.b);
  product.out = build.output();
  build.add(std::move(product));
}

} // namespace eqnn::plan
