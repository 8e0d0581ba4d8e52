// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "plan/values.hpp"

namespace eqnn::plan {

/// Sets the l = 0 row of a node to the table's row for its species.
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
