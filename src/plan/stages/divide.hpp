// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "plan/values.hpp"

namespace eqnn::plan {

/// out = in / divisor. The divisor is one number per node.
struct Divide {
  ValueId out = kNoValue;
  Input in;
  Input divisor; ///< [1, 1]

  ValueId output() const { return out; }

  std::vector<Input*> inputs() { return {&in, &divisor}; }

  /// The adjoint of the divisor depends on the input.
  std::vector<ValueId> saved_for_adjoint() const { return {in.value, divisor.value}; }

  std::vector<ValueId> read_on_ghosts() const { return {}; }

  Input* residual() { return nullptr; }

  void make(ValueId value) { out = value; }

  std::string describe(const ValueNames& names) const;
};

} // namespace eqnn::plan
