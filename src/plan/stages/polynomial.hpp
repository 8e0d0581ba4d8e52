// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "plan/values.hpp"

#include <map>

namespace eqnn::plan {

/// A polynomial of the components, channel by channel, with coefficients of each species and channel.
/// Monomials form a tree: each is its parent's times one more component, so that products are made
/// once; parents come before their children.
struct Monomial {
  std::int32_t parent = -1; ///< -1: none
  std::int32_t component = 0;
  std::int32_t first_term = 0, n_terms = 0;
  bool has_children = false;
};

struct Polynomial {
  ValueId out = kNoValue;
  Input in;
  std::vector<Monomial> monomials;
  std::vector<std::int32_t> target; ///< [n_terms] component of the output
  std::vector<double> coefficients; ///< [n_species, n_terms, channels]

  ValueId output() const { return out; }

  std::vector<Input*> inputs() { return {&in}; }

  std::vector<ValueId> saved_for_adjoint() const { return {in.value}; }

  std::vector<ValueId> read_on_ghosts() const { return {}; }

  Input* residual() { return nullptr; }

  void make(ValueId value) { out = value; }

  std::string describe(const ValueNames& names) const;
};

/// FLOPs per channel, forward and adjoint, over the fraction of the machine's peak that polynomials
/// were measured to reach (docs/performance.md).
double cost(const Polynomial& polynomial);

/// Collects monomials, whatever their factors' order, and makes the tree.
class PolynomialBuilder {
public:
  PolynomialBuilder(std::size_t n_species, std::size_t n_channels)
      : n_species_(n_species)
      , n_channels_(n_channels) {}

  /// Coefficients [n_species, channels] of the monomial for a component of the output, to add to.
  std::vector<double>& at(std::vector<std::int32_t> factors, std::int32_t target);

  Polynomial build();

private:
  std::size_t n_species_, n_channels_;
  std::map<std::vector<std::int32_t>, std::map<std::int32_t, std::vector<double>>> terms_;
};

} // namespace eqnn::plan
