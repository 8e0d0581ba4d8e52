// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "plan/values.hpp"

namespace eqnn::plan {

/// Blocks in .. in + n_blocks - 1 and as many of the output: leading channels that pass through a
/// function, or are multiplied with that of the same gates.
struct GateRow {
  std::int32_t in = -1, out = -1; ///< first blocks
  std::int32_t n_blocks = 1;
  std::int32_t gate = -1;   ///< block of the gates, or -1: scalars
  std::int32_t channel = 0; ///< of the gates: first
  std::int32_t channels = 0;
  std::int32_t function = 0; ///< kIdentity ...
};

struct Gate {
  ValueId out = kNoValue;
  Input in;
  Input gates; ///< a value of its own, or none: the gates are channels of the input
  std::vector<GateRow> rows;

  ValueId output() const { return out; }

  std::vector<Input*> inputs() { return {&in, &gates}; }

  std::vector<ValueId> saved_for_adjoint() const {
    return gates.value == kNoValue ? std::vector{in.value} : std::vector{in.value, gates.value};
  }

  std::vector<ValueId> read_on_ghosts() const { return {}; }

  Input* residual() { return nullptr; }

  void make(ValueId value) { out = value; }

  std::string describe(const ValueNames& names) const;
};

} // namespace eqnn::plan
