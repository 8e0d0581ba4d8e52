// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "plan/values.hpp"

namespace eqnn::plan {

/// out[r, c] = sum over edges of w_e[c] b_e[r] a_j[r, c], with b_e = harmonic_factor^T Y(e) and a_j
/// = source_factor^T source_j. If the source was already mixed on the nodes, a_j is source_j
/// itself.
struct CpProduct {
  ValueId out = kNoValue;
  Input source;
  std::int32_t radial = -1;
  std::int32_t harmonics = 0; ///< components of Y
  std::int32_t rank = 0;
  std::vector<double> harmonic_factor; ///< [harmonics, rank]
  std::vector<double> source_factor;   ///< [components of the source, rank], or empty

  ValueId output() const { return out; }

  std::vector<Input*> inputs() { return {&source}; }

  std::vector<ValueId> saved_for_adjoint() const { return {source.value}; }

  std::vector<ValueId> read_on_ghosts() const { return {source.value}; }

  Input* residual() { return nullptr; }

  void make(ValueId value) { out = value; }

  std::string describe(const ValueNames& names) const;
};

} // namespace eqnn::plan
