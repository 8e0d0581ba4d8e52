// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "plan/values.hpp"

#include <map>

namespace eqnn::plan {

/// A polynomial of the components, for each channel separately, with coefficients for each species
/// and channel. Monomials form a tree: each is its parent times one more component, so that
/// products are computed only once. Parents come before their children.
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

/// Estimated time of forward and adjoint: FLOPs per channel, divided by the fraction of the
/// machine's peak that polynomials reached in measurements (docs/performance.md).
double cost(const Polynomial& polynomial);

/// A number for each species and channel, in weights of the model: number[z * of_species + c *
/// of_channel] for species z, channel c.
struct SpeciesWeights {
  const double* number = nullptr;
  std::size_t of_species = 0, of_channel = 0;
};

/// Collects monomials, merges those that differ only in the order of factors, and makes the tree.
/// For many species, coefficients take hundreds of megabytes. So until build(), it stores only
/// references to the weights that they are sums of.
class PolynomialBuilder {
public:
  PolynomialBuilder(std::size_t n_species, std::size_t n_channels)
      : n_species_(n_species)
      , n_channels_(n_channels) {}

  /// Adds factor times weights to the coefficients of a monomial for one output component. @pre the
  /// weights remain valid until build() returns
  void add(std::vector<std::int32_t> factors,
           std::int32_t target,
           double factor,
           const SpeciesWeights& weights);

  Polynomial build();

private:
  struct Part {
    double factor = 0.0;
    SpeciesWeights weights;
  };

  using Parts = std::vector<Part>;

  std::size_t n_species_, n_channels_;
  std::map<std::vector<std::int32_t>, std::map<std::int32_t, Parts>> terms_;
};

} // namespace eqnn::plan
