// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "plan/values.hpp"

namespace eqnn::plan {

struct Add {
  ValueId out = kNoValue;
  Input a, b;
  /// For each block of b, the block of the output; empty if b has the layout of the output.
  std::vector<std::int32_t> blocks;

  ValueId output() const { return out; }

  std::vector<Input*> inputs() { return {&a, &b}; }

  std::vector<ValueId> saved_for_adjoint() const { return {}; }

  std::vector<ValueId> read_on_ghosts() const { return {}; }

  Input* residual() { return nullptr; }

  void make(ValueId value) { out = value; }

  std::string describe(const ValueNames& names) const;
};

} // namespace eqnn::plan
