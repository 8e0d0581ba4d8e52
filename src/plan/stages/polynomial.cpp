// SPDX-License-Identifier: BSD-3-Clause
#include "plan/stages/polynomial.hpp"

#include <algorithm>

namespace eqnn::plan {

namespace {

constexpr double kMonomialRate = 0.17;

} // namespace

std::string Polynomial::describe(const ValueNames& names) const {
  return names.out(out) + "polynomial of " + names.in(in) + ", " +
         std::to_string(monomials.size()) + " monomials, " + std::to_string(target.size()) +
         " terms";
}

double cost(const Polynomial& p) {
  return (4.0 * static_cast<double>(p.target.size()) +
          6.0 * static_cast<double>(p.monomials.size())) /
         kMonomialRate;
}

void PolynomialBuilder::add(std::vector<std::int32_t> factors,
                            std::int32_t target,
                            double factor,
                            const SpeciesWeights& weights) {
  std::sort(factors.begin(), factors.end());
  terms_[factors][target].push_back({factor, weights});
}

Polynomial PolynomialBuilder::build() {
  std::vector<std::vector<std::int32_t>> prefixes;
  for (const auto& [factors, unused] : terms_) {
    for (std::size_t n = 1; n < factors.size(); ++n) {
      prefixes.emplace_back(factors.begin(), factors.begin() + static_cast<std::ptrdiff_t>(n));
    }
  }
  for (const auto& prefix : prefixes) {
    terms_[prefix]; // creates it if needed, without terms
  }
  Polynomial polynomial;
  std::map<std::vector<std::int32_t>, std::int32_t> index_of;
  std::vector<const Parts*> columns;
  for (const auto& [factors, targets] : terms_) { // sorted: parents before children
    Monomial monomial;
    monomial.component = factors.back();
    if (factors.size() > 1) {
      monomial.parent = index_of.at({factors.begin(), factors.end() - 1});
      polynomial.monomials[static_cast<std::size_t>(monomial.parent)].has_children = true;
    }
    monomial.first_term = static_cast<std::int32_t>(columns.size());
    for (const auto& [target, parts] : targets) {
      polynomial.target.push_back(target);
      columns.push_back(&parts);
      ++monomial.n_terms;
    }
    index_of[factors] = static_cast<std::int32_t>(polynomial.monomials.size());
    polynomial.monomials.push_back(monomial);
  }
  polynomial.coefficients.assign(n_species_ * columns.size() * n_channels_, 0.0);
  double* coefficients = polynomial.coefficients.data();
  for (std::size_t z = 0; z < n_species_; ++z) {
    for (const Parts* const parts : columns) {
      for (const auto& [factor, weights] : *parts) {
        const double* const of_z = weights.number + z * weights.of_species;
        for (std::size_t c = 0; c < n_channels_; ++c) {
          coefficients[c] += factor * of_z[c * weights.of_channel];
        }
      }
      coefficients += n_channels_;
    }
  }
  return polynomial;
}

} // namespace eqnn::plan
