// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "plan/values.hpp"

namespace eqnn::plan {

/// out[i,k,c] = sum over edges of M[0][k] w_c
struct NeighborSum {
  ValueId out = kNoValue;
  std::int32_t matrix = -1, radial = -1;

  ValueId output() const { return out; }

  std::vector<Input*> inputs() { return {}; }

  std::vector<ValueId> saved_for_adjoint() const { return {}; }

  std::vector<ValueId> read_on_ghosts() const { return {}; }

  Input* residual() { return nullptr; }

  void make(ValueId value) { out = value; }

  std::string describe(const ValueNames& names) const;
};

} // namespace eqnn::plan
