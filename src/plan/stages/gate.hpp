// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "plan/values.hpp"

namespace eqnn::plan {

/// Input blocks in .. in + n_blocks - 1, and as many output blocks. Scalars: a function is applied
/// to their leading channels. Others: leading channels are multiplied by a function of the same
/// gates.
struct GateRow {
  std::int32_t in = -1, out = -1; ///< first blocks
  std::int32_t n_blocks = 1;
  std::int32_t gate = -1;   ///< block of the gates, or -1: scalars
  std::int32_t channel = 0; ///< first channel of the gates
  std::int32_t channels = 0;
  std::int32_t function = 0; ///< kIdentity ...
};

struct Gate {
  ValueId out = kNoValue;
  Input in;
  Input gates; ///< separate value with the gates; none if they are channels of the input
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
