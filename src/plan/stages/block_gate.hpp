// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "plan/values.hpp"

namespace eqnn::plan {

/// Rows of the first kind pass through a function, others are multiplied with one of a channel.
struct GateRow {
  std::int32_t in = -1, out = -1; ///< block
  std::int32_t gate = -1;         ///< block of the gates, or -1: scalars
  std::int32_t channel = 0;       ///< of the gates: first
  std::int32_t channels = 0;
  std::int32_t function = 0; ///< kIdentity ...
};

struct BlockGate {
  ValueId out = kNoValue;
  Input in;
  std::vector<GateRow> rows;

  ValueId output() const { return out; }

  std::vector<Input*> inputs() { return {&in}; }

  std::vector<ValueId> saved_for_adjoint() const { return {in.value}; }

  std::vector<ValueId> read_on_ghosts() const { return {}; }

  Input* residual() { return nullptr; }

  void make(ValueId value) { out = value; }

  std::string describe(const ValueNames& names) const;
};

} // namespace eqnn::plan
