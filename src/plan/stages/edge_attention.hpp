// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "plan/values.hpp"

namespace eqnn::plan {

/// docs/spec/stages/edge_attention.md
struct EdgeAttention {
  ValueId out = kNoValue;
  Input source, center;
  std::int32_t matrix = -1, radial = -1;
  std::int32_t heads = 0;
  double negative_slope = 0.0, eps = 0.0, cutoff = 0.0;
  /// order of the polynomial envelope; 0: no envelope
  std::int32_t envelope = 0;
  std::vector<double> logit_weight, value_weight, gate_weight; ///< [channels in, channels out]
  std::vector<double> logit_bias, value_bias, gate_bias;       ///< [channels]
  /// [channels], heads one after another
  std::vector<double> logit_vector;

  ValueId output() const { return out; }

  std::vector<Input*> inputs() { return {&source, &center}; }

  std::vector<ValueId> saved_for_adjoint() const { return {source.value, center.value, out}; }

  std::vector<ValueId> read_on_ghosts() const { return {source.value}; }

  Input* residual() { return nullptr; }

  void make(ValueId value) { out = value; }

  std::string describe(const ValueNames& names) const;
};

} // namespace eqnn::plan
