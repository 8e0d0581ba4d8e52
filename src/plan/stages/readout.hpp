// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "plan/values.hpp"

namespace eqnn::plan {

struct Dense {
  std::int32_t n_in = 0, n_out = 0;
  std::vector<double> weight; ///< [n_out, n_in]
  std::vector<double> bias;   ///< [n_out], zeros if the model has none
  std::int32_t function = 0;  ///< kIdentity ...
};

/// Adds an MLP of component 0 to the energy of each atom.
struct Readout {
  Input in;
  std::vector<Dense> layers;

  ValueId output() const { return kNoValue; }

  std::vector<Input*> inputs() { return {&in}; }

  std::vector<ValueId> saved_for_adjoint() const { return {in.value}; }

  std::vector<ValueId> read_on_ghosts() const { return {}; }

  Input* residual() { return nullptr; }

  void make(ValueId) {}

  std::string describe(const ValueNames& names) const;
};

} // namespace eqnn::plan
