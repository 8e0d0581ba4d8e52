// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "plan/values.hpp"

namespace eqnn::plan {

/// A block of a NormActivation. Norms below `least` count as `least`.
struct NormBlockFunction {
  double scale = 0.0; ///< soft normalization: what norms are multiplied by
  double least = 0.0;
};

/// out = in f(n) for each channel, with its own norm n.
struct NormActivation {
  ValueId out = kNoValue;
  Input in;
  /// kSilu ...: f(n) = function(n) / n. kIdentity: soft normalization, f = 1 / (1 + u exp(-1/u)), u
  /// = scale n.
  std::int32_t function = 0;
  std::vector<NormBlockFunction> blocks;

  ValueId output() const { return out; }

  std::vector<Input*> inputs() { return {&in}; }

  std::vector<ValueId> saved_for_adjoint() const { return {in.value}; }

  std::vector<ValueId> read_on_ghosts() const { return {}; }

  Input* residual() { return nullptr; }

  void make(ValueId value) { out = value; }

  std::string describe(const ValueNames& names) const;
};

} // namespace eqnn::plan
