// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "plan/values.hpp"

namespace eqnn::plan {

/// Screened nuclear repulsion, with parameters for each pair of species. See
/// docs/spec/stages/zbl.md.
struct Zbl {
  std::int32_t n_species = 0;
  double p = 0.0;
  std::vector<double> prefactor, range; ///< [n_species, n_species] eV Angstrom, Angstrom
  /// [n_species, n_species, n_terms] 1/Angstrom
  std::vector<double> exponents;
  std::vector<double> coefficients; ///< [n_terms]

  ValueId output() const { return kNoValue; }

  std::vector<Input*> inputs() { return {}; }

  std::vector<ValueId> saved_for_adjoint() const { return {}; }

  std::vector<ValueId> read_on_ghosts() const { return {}; }

  Input* residual() { return nullptr; }

  void make(ValueId) {}

  std::string describe(const ValueNames& names) const;
};

} // namespace eqnn::plan
