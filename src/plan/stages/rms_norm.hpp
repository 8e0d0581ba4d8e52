// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "plan/values.hpp"

namespace eqnn::plan {

/// out = in scale / sqrt(mean over blocks of mean in^2 + eps)
struct RmsNorm {
  ValueId out = kNoValue;
  Input in;
  double eps = 0.0;
  std::vector<std::vector<double>> scale; ///< for each block, [channels]

  ValueId output() const { return out; }

  std::vector<Input*> inputs() { return {&in}; }

  std::vector<ValueId> saved_for_adjoint() const { return {in.value}; }

  std::vector<ValueId> read_on_ghosts() const { return {}; }

  Input* residual() { return nullptr; }

  void make(ValueId value) { out = value; }

  std::string describe(const ValueNames& names) const;
};

} // namespace eqnn::plan
