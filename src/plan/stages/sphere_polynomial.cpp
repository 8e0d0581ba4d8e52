// SPDX-License-Identifier: BSD-3-Clause
#include "plan/stages/sphere_polynomial.hpp"

#include "plan/plan_builder.hpp"
#include "so3/quadrature.hpp"
#include "so3/spherical_harmonics.hpp"

#include <algorithm>
#include <cmath>

namespace eqnn::plan {

namespace {

/// Orthonormal harmonics at the points of a quadrature rule.
std::vector<std::vector<double>> harmonics_at(const so3::SphereRule& rule, std::int32_t l_max) {
  const double scale = 1.0 / std::sqrt(4.0 * std::acos(-1.0));
  std::vector<std::vector<double>> s;
  for (const auto& point : rule.point) {
    s.push_back(so3::spherical_harmonics(l_max, point).value);
    for (double& value : s.back()) {
      value *= scale;
    }
  }
  return s;
}

/// Calls use(factors) for all sorted lists of `order` components below d.
template <class Use> void for_multisets(std::int32_t order,
                                        std::int32_t d,
                                        std::vector<std::int32_t>& factors,
                                        const Use& use) {
  if (static_cast<std::int32_t>(factors.size()) == order) {
    use(factors);
    return;
  }
  for (std::int32_t k = factors.empty() ? 0 : factors.back(); k < d; ++k) {
    factors.push_back(k);
    for_multisets(order, d, factors, use);
    factors.pop_back();
  }
}

/// Number of distinct orders of the factors.
double multiplicity(const std::vector<std::int32_t>& factors) {
  double count = 1.0;
  double run = 0.0;
  for (std::size_t k = 0; k < factors.size(); ++k) {
    run = k > 0 && factors[k] == factors[k - 1] ? run + 1.0 : 1.0;
    count *= static_cast<double>(k + 1) / run;
  }
  return count;
}

/// The projections of f, f^2, ... on the harmonics as a polynomial.
Polynomial monomials_of(const SpherePolynomialStage& stage,
                        std::int32_t l_in,
                        std::int32_t l_out,
                        std::size_t n_species) {
  const auto n_channels = static_cast<std::size_t>(stage.orders.front().shape[1]);
  const std::int32_t d_in = sphere_components(l_in);
  const std::int32_t d_out = sphere_components(l_out);
  PolynomialBuilder builder(n_species, n_channels);
  for (std::size_t nu = 1; nu <= stage.orders.size(); ++nu) {
    const Tensor& order = stage.orders[nu - 1];
    const so3::SphereRule rule = so3::product_rule(static_cast<std::int32_t>(nu) * l_in + l_out);
    const auto s = harmonics_at(rule, std::max(l_in, l_out));
    std::vector<std::int32_t> factors;
    for_multisets(static_cast<std::int32_t>(nu), d_in, factors, [&](const auto& list) {
      std::vector<double> integral(static_cast<std::size_t>(d_out), 0.0);
      for (std::size_t p = 0; p < rule.point.size(); ++p) {
        double product = rule.weight[p] * multiplicity(list);
        for (const std::int32_t k : list) {
          product *= s[p][static_cast<std::size_t>(k)];
        }
        for (std::size_t k = 0; k < integral.size(); ++k) {
          integral[k] += product * s[p][k];
        }
      }
      for (std::int32_t k = 0; k < d_out; ++k) {
        const double value = integral[static_cast<std::size_t>(k)];
        if (std::abs(value) < 1e-13) { // zero by a selection rule, up to rounding
          continue;
        }
        const auto n_degrees = static_cast<std::size_t>(l_out + 1);
        builder.add(list,
                    k,
                    value,
                    {&order.values[static_cast<std::size_t>(degree_of(k))],
                     n_channels * n_degrees,
                     n_degrees});
      }
    });
  }
  return builder.build();
}

SphereMethod method_of(const Polynomial&) { return SphereMethod::Sparse; }

SphereMethod method_of(const SpherePower& power) { return power.method; }

} // namespace

std::variant<Polynomial, SpherePower> sphere_polynomial(const SpherePolynomialStage& stage,
                                                        std::int32_t l_in,
                                                        std::int32_t l_out,
                                                        std::size_t n_species,
                                                        std::optional<SphereMethod> method) {
  if (method == SphereMethod::Sparse) {
    return monomials_of(stage, l_in, l_out, n_species);
  }
  if (method) {
    return sphere_power(stage, l_in, l_out, n_species, *method);
  }
  SpherePower grid = sphere_power(stage, l_in, l_out, n_species, SphereMethod::Grid);
  SpherePower fourier = sphere_power(stage, l_in, l_out, n_species, SphereMethod::Fourier);
  SpherePower best = cost(fourier) < cost(grid) ? std::move(fourier) : std::move(grid);
  // Beyond these limits, there are too many monomials to list just for comparison. They are the
  // slower method long before that.
  constexpr std::int32_t kMostDegree = 4;
  constexpr std::size_t kMostOrders = 3;
  if (l_in <= kMostDegree && stage.orders.size() <= kMostOrders) {
    Polynomial sparse = monomials_of(stage, l_in, l_out, n_species);
    if (cost(sparse) < cost(best)) {
      return sparse;
    }
  }
  return best;
}

void lower(const SpherePolynomialStage& op, PlanBuilder& build) {
  auto made = sphere_polynomial(op,
                                build.stage(op.features).l_max,
                                build.current().l_max,
                                build.n_species(),
                                build.options().products);
  std::visit(
      [&](auto& polynomial) {
        polynomial.in = build.compact(op.features);
        polynomial.out = build.output();
        build.note_product(method_of(polynomial));
        build.add(std::move(polynomial));
      },
      made);
}

} // namespace eqnn::plan
