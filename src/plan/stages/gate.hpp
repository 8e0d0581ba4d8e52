// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "plan/values.hpp"

namespace eqnn::plan {

/// Row l = 0: silu; others times the sigmoid of their channel's gate.
struct Gate {
  ValueId out = kNoValue;
  Input features, gates;

  ValueId output() const { return out; }

  std::vector<Input*> inputs() { return {&features, &gates}; }

  std::vector<ValueId> saved_for_adjoint() const { return {features.value, gates.value}; }

  std::vector<ValueId> read_on_ghosts() const { return {}; }

  Input* residual() { return nullptr; }

  void make(ValueId value) { out = value; }

  std::string describe(const ValueNames& names) const;
};

} // namespace eqnn::plan
