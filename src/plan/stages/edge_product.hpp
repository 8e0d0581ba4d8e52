// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/model_spec.hpp"
#include "plan/values.hpp"

#include <array>

namespace eqnn::plan {

/// Block of a path that takes all components of uniform features together. They lie at one stride.
inline constexpr std::int32_t kAllBlocks = -2;

/// out[b, m3, c] += sum over edges of w_e[c] sum_m1 K_e[m1, m3] source[a, m1, c], with K_e = sum_j
/// coupling[j][entry] Y_j(e). This is one path; several paths may share radial channels and
/// outputs.
struct Path {
  std::int32_t source = -1, out = -1; ///< blocks, or kAllBlocks
  std::int32_t channels = 0;
  std::int32_t radial = 0;  ///< first channel of the radial function
  std::int32_t channel = 0; ///< first channel in the output's block
  std::int32_t entry = 0;   ///< first of the (2l1+1)(2l3+1) entries [m1, m3] of the path
};

/// Paths, and the matrices K that they share out.
struct Couplings {
  std::int32_t harmonics = 0; ///< components of Y
  std::int32_t entries = 0;
  std::vector<Path> paths;
  std::vector<double> coupling; ///< [harmonics, entries]
};

struct EdgeProduct : Couplings {
  ValueId out = kNoValue;
  Input source;
  std::int32_t radial = -1;

  ValueId output() const { return out; }

  std::vector<Input*> inputs() { return {&source}; }

  std::vector<ValueId> saved_for_adjoint() const { return {source.value}; }

  std::vector<ValueId> read_on_ghosts() const { return {source.value}; }

  Input* residual() { return nullptr; }

  void make(ValueId value) { out = value; }

  std::string describe(const ValueNames& names) const;
};

class PlanBuilder;

/// Those of a model's paths.
Couplings
couplings_of(const std::vector<TensorProductPath>& paths, const Irreps& source, const Irreps& out);

/// Adds scale * w3j(l1, l2, l3) to the coupling entries of a path.
void add_coupling(Couplings& product,
                  const Path& path,
                  const std::array<std::int32_t, 3>& degrees,
                  double scale);

/// Completes a product and adds it to the plan. Its paths must refer to radial channels before
/// padding.
void add_product(EdgeProduct product, StageIndex source, StageIndex radial, PlanBuilder& build);

/// Estimated time of forward and adjoint for one channel of an edge, by measured rates
/// (docs/performance.md). Unit: multiply-adds at the machine's peak.
double cost(const EdgeProduct& product);

} // namespace eqnn::plan
