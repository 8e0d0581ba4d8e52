// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "plan/values.hpp"

namespace eqnn::plan {

/// out[k, c] = sum_i weight[k, i] in[i, c] on every node: components are mixed, channels are not.
struct ComponentMap {
  ValueId out = kNoValue;
  Input in;
  std::vector<double> weight; ///< [components out, components in]

  ValueId output() const { return out; }

  std::vector<Input*> inputs() { return {&in}; }

  /// None: the stage is linear.
  std::vector<ValueId> saved_for_adjoint() const { return {}; }

  std::vector<ValueId> read_on_ghosts() const { return {}; }

  Input* residual() { return nullptr; }

  void make(ValueId value) { out = value; }

  std::string describe(const ValueNames& names) const;
};

} // namespace eqnn::plan
