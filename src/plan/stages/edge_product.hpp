// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/model_spec.hpp"
#include "plan/values.hpp"

#include <array>

namespace eqnn::plan {

/// Blocks of a path that takes all components of uniform features together, which lie at one stride.
inline constexpr std::int32_t kAllBlocks = -2;

/// out[b, m3, c] += sum over edges of w_e[c] sum_m1 K_e[m1, m3] source[a, m1, c], with K_e = sum_j
/// coupling[j][entry] Y_j(e): one path. Several may share radial channels and outputs.
struct Path {
  std::int32_t source = -1, out = -1; ///< blocks, or kAllBlocks
  std::int32_t channels = 0;
  std::int32_t radial = 0;  ///< first channel of the radial function
  std::int32_t channel = 0; ///< first channel in the output's block
  std::int32_t entry = 0;   ///< first of the path's (2l1+1)(2l3+1) entries [m1, m3]
};

struct EdgeProduct {
  ValueId out = kNoValue;
  Input source;
  std::int32_t radial = -1;
  std::int32_t harmonics = 0; ///< components of Y
  std::int32_t entries = 0;
  std::vector<Path> paths;
  std::vector<double> coupling; ///< [harmonics, entries]

  ValueId output() const { return out; }

  std::vector<Input*> inputs() { return {&source}; }

  std::vector<ValueId> saved_for_adjoint() const { return {source.value}; }

  std::vector<ValueId> read_on_ghosts() const { return {source.value}; }

  Input* residual() { return nullptr; }

  void make(ValueId value) { out = value; }

  std::string describe(const ValueNames& names) const;
};

class PlanBuilder;

/// Adds scale w3j(l1, l2, l3) to the entries of a path.
void add_coupling(EdgeProduct& product,
                  const Path& path,
                  const std::array<std::int32_t, 3>& degrees,
                  double scale);

/// Completes a product whose paths name logical radial channels, and adds it to the plan.
void add_product(EdgeProduct product, StageIndex source, StageIndex radial, PlanBuilder& build);

/// Time of forward and adjoint, in multiply-adds of one channel of an edge at the machine's peak, by
/// measured rates (docs/performance.md).
double cost(const EdgeProduct& product);

} // namespace eqnn::plan
