// SPDX-License-Identifier: BSD-3-Clause
#include "plan/sphere.hpp"

#include "so3/coupling.hpp"
#include "so3/quadrature.hpp"
#include "so3/spherical_harmonics.hpp"

#include <algorithm>
#include <cmath>
#include <map>

namespace eqnn::plan {
namespace {

std::int32_t degree_of(std::int32_t component) {
  return static_cast<std::int32_t>(std::sqrt(static_cast<double>(component) + 0.5));
}

/// Collects monomials, whatever their factors' order, and makes the tree.
class PolynomialBuilder {
public:
  PolynomialBuilder(std::size_t n_species, std::size_t n_channels)
      : n_species_(n_species)
      , n_channels_(n_channels) {}

  /// Coefficients [n_species, channels] of the monomial for a component of the output, to add to.
  std::vector<double>& at(std::vector<std::int32_t> factors, std::int32_t target) {
    std::sort(factors.begin(), factors.end());
    auto& coefficients = terms_[factors][target];
    coefficients.resize(n_species_ * n_channels_, 0.0);
    return coefficients;
  }

  Polynomial build() {
    std::vector<std::vector<std::int32_t>> prefixes;
    for (const auto& [factors, unused] : terms_) {
      for (std::size_t n = 1; n < factors.size(); ++n) {
        prefixes.emplace_back(factors.begin(), factors.begin() + static_cast<std::ptrdiff_t>(n));
      }
    }
    for (const auto& prefix : prefixes) {
      terms_[prefix]; // perhaps without terms of its own
    }
    Polynomial polynomial;
    std::map<std::vector<std::int32_t>, std::int32_t> index_of;
    std::vector<const std::vector<double>*> columns;
    for (const auto& [factors, targets] : terms_) { // in lexical order: parents before children
      Monomial monomial;
      monomial.component = factors.back();
      if (factors.size() > 1) {
        monomial.parent = index_of.at({factors.begin(), factors.end() - 1});
        polynomial.monomials[static_cast<std::size_t>(monomial.parent)].has_children = true;
      }
      monomial.first_term = static_cast<std::int32_t>(columns.size());
      for (const auto& [target, coefficients] : targets) {
        polynomial.target.push_back(target);
        columns.push_back(&coefficients);
        ++monomial.n_terms;
      }
      index_of[factors] = static_cast<std::int32_t>(polynomial.monomials.size());
      polynomial.monomials.push_back(monomial);
    }
    polynomial.coefficients.reserve(n_species_ * columns.size() * n_channels_);
    for (std::size_t z = 0; z < n_species_; ++z) {
      for (const auto* column : columns) {
        const auto begin = column->begin() + static_cast<std::ptrdiff_t>(z * n_channels_);
        polynomial.coefficients.insert(
            polynomial.coefficients.end(), begin, begin + static_cast<std::ptrdiff_t>(n_channels_));
      }
    }
    return polynomial;
  }

private:
  std::size_t n_species_, n_channels_;
  std::map<std::vector<std::int32_t>, std::map<std::int32_t, std::vector<double>>> terms_;
};

/// Orthonormal harmonics at the points of a rule.
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

/// In how many orders the factors can be written.
double multiplicity(const std::vector<std::int32_t>& factors) {
  double count = 1.0;
  double run = 0.0;
  for (std::size_t k = 0; k < factors.size(); ++k) {
    run = k > 0 && factors[k] == factors[k - 1] ? run + 1.0 : 1.0;
    count *= static_cast<double>(k + 1) / run;
  }
  return count;
}

} // namespace

Polynomial
contraction(const SymmetricContractionStage& stage, const Irreps& out, std::size_t n_species) {
  const auto n_channels = static_cast<std::size_t>(stage.terms.front().weights.shape[2]);
  PolynomialBuilder builder(n_species, n_channels);
  for (const ContractionTerm& term : stage.terms) {
    const auto n_weights = static_cast<std::size_t>(term.weights.shape[1]);
    for (std::size_t row = 0; row < term.indices.size(); ++row) {
      const auto& index = term.indices[row];
      auto& coefficients = builder.at({index.begin() + 2, index.begin() + 2 + term.nu},
                                      first_component(out, term.block) + index[0]);
      for (std::size_t z = 0; z < n_species; ++z) {
        for (std::size_t c = 0; c < n_channels; ++c) {
          const std::size_t weight =
              (z * n_weights + static_cast<std::size_t>(index[1])) * n_channels + c;
          coefficients[z * n_channels + c] += term.values.values[row] * term.weights.values[weight];
        }
      }
    }
  }
  return builder.build();
}

Polynomial sphere_polynomial(const SpherePolynomialStage& stage,
                             std::int32_t l_in,
                             std::int32_t l_out,
                             std::size_t n_species) {
  const auto n_channels = static_cast<std::size_t>(stage.orders.front().shape[1]);
  const std::int32_t d_in = so3::n_components(l_in);
  const std::int32_t d_out = so3::n_components(l_out);
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
        if (std::abs(value) < 1e-13) { // a selection rule, up to rounding
          continue;
        }
        auto& coefficients = builder.at(list, k);
        const auto l = static_cast<std::size_t>(degree_of(k));
        for (std::size_t zc = 0; zc < coefficients.size(); ++zc) {
          coefficients[zc] += value * order.values[zc * static_cast<std::size_t>(l_out + 1) + l];
        }
      }
    });
  }
  return builder.build();
}

namespace {

/// Non-zeros of the tables, ordered by (i, j): scale(l1, l2, l3) w3j.
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

/// S_k at the points, [points, components], times the weights where given.
std::vector<double> values_at(const so3::SphereRule& rule, std::int32_t l_max, bool weighted) {
  std::vector<double> out;
  const auto s = harmonics_at(rule, l_max);
  for (std::size_t p = 0; p < s.size(); ++p) {
    for (const double value : s[p]) {
      out.push_back(weighted ? value * rule.weight[p] : value);
    }
  }
  return out;
}

/// Slopes of S_k along two orthogonal tangents t1, t2 with t1 x t2 = u, [2, points, components].
std::vector<double> gradients_at(const so3::SphereRule& rule, std::int32_t l_max) {
  const double scale = 1.0 / std::sqrt(4.0 * std::acos(-1.0));
  std::vector<double> out;
  for (int tangent = 0; tangent < 2; ++tangent) {
    for (const auto& u : rule.point) {
      // No point lies on the polar axis, y.
      const double s = std::sqrt(u[0] * u[0] + u[2] * u[2]);
      const std::array<double, 3> t1{u[2] / s, 0.0, -u[0] / s};
      const std::array<double, 3> t2{
          u[1] * t1[2] - u[2] * t1[1], u[2] * t1[0] - u[0] * t1[2], u[0] * t1[1] - u[1] * t1[0]};
      const auto& t = tangent == 0 ? t1 : t2;
      for (const auto& gradient : so3::spherical_harmonics(l_max, u).gradient) {
        out.push_back(scale * (gradient[0] * t[0] + gradient[1] * t[1] + gradient[2] * t[2]));
      }
    }
  }
  return out;
}

std::vector<double> values_of(const std::optional<Tensor>& tensor) {
  return tensor ? tensor->values : std::vector<double>{};
}

} // namespace

SphereProduct sphere_product(const GauntProductStage& stage,
                             std::int32_t l_a,
                             std::int32_t l_b,
                             std::int32_t l_out,
                             std::optional<Lowering> lowering) {
  // docs/performance.md: where the table has more entries than the grid has work
  constexpr std::int32_t kLastSparse = 3;
  SphereProduct product;
  product.lowering = lowering.value_or(std::max({l_a, l_b, l_out}) <= kLastSparse ? Lowering::Sparse
                                                                                  : Lowering::Grid);
  product.scale_a = values_of(stage.scale_a);
  product.scale_b = values_of(stage.scale_b);
  product.scale_out = values_of(stage.scale_out);
  product.scale_curl = values_of(stage.curl);
  const bool has_curl = stage.curl.has_value();
  if (product.lowering == Lowering::Sparse) {
    product.gaunt = triples(l_a, l_b, l_out, so3::gaunt_factor);
    if (has_curl) {
      product.curl = triples(l_a, l_b, l_out, so3::curl_factor);
    }
    return product;
  }
  const so3::SphereRule rule = so3::product_rule(l_a + l_b + l_out);
  product.n_points = static_cast<std::int32_t>(rule.point.size());
  product.at_a = values_at(rule, l_a, false);
  product.at_b = values_at(rule, l_b, false);
  product.at_out = values_at(rule, l_out, true);
  if (has_curl) {
    product.gradient_a = gradients_at(rule, l_a);
    product.gradient_b = gradients_at(rule, l_b);
  }
  return product;
}

} // namespace eqnn::plan
