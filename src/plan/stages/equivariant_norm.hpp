// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "plan/values.hpp"

namespace eqnn::plan {

/// Normalizes each degree separately. See docs/spec/stages/equivariant_norm.md.
struct EquivariantNorm {
  ValueId out = kNoValue;
  Input in;
  double eps = 0.0;
  std::vector<double> scale, shift; ///< [l_max + 1, channels], [channels]

  ValueId output() const { return out; }

  std::vector<Input*> inputs() { return {&in}; }

  std::vector<ValueId> saved_for_adjoint() const { return {in.value}; }

  std::vector<ValueId> read_on_ghosts() const { return {}; }

  Input* residual() { return nullptr; }

  void make(ValueId value) { out = value; }

  std::string describe(const ValueNames& names) const;
};

} // namespace eqnn::plan
