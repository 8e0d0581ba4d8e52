// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "plan/values.hpp"

namespace eqnn::plan {

/// Row l = 0 of a node is its species' row of the table.
struct SpeciesEmbedding {
  ValueId out = kNoValue;
  std::vector<double> table; ///< [n_species, channels]

  ValueId output() const { return out; }

  std::vector<Input*> inputs() { return {}; }

  std::vector<ValueId> saved_for_adjoint() const { return {}; }

  std::vector<ValueId> read_on_ghosts() const { return {}; }

  Input* residual() { return nullptr; }

  void make(ValueId value) { out = value; }

  std::string describe(const ValueNames& names) const;
};

} // namespace eqnn::plan
