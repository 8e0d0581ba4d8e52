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

std::vector<double>& PolynomialBuilder::at(std::vector<std::int32_t> factors, std::int32_t target) {
  std::sort(factors.begin(), factors.end());
  auto& coefficients = terms_[factors][target];
  coefficients.resize(n_species_ * n_channels_, 0.0);
  return coefficients;
}

Polynomial PolynomialBuilder::build() {
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

} // namespace eqnn::plan
