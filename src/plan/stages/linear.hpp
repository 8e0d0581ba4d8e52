// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/model_spec.hpp"
#include "plan/values.hpp"

namespace eqnn::plan {

/// Blocks in .. in + n_blocks - 1 of the input -> as many of the output from `out` on, all by the same
/// matrix: one large product.
struct BlockMap {
  std::int32_t in = -1, out = -1;
  std::int32_t n_blocks = 1;
  std::vector<double> weight; ///< [1 or n_species, channels in, channels out]
};

/// out = residual + a linear map of each block, bias on the first component (times the number of
/// neighbors where bias_per_neighbor). Blocks of the input that no map reads do not matter.
struct Linear {
  ValueId out = kNoValue;
  Input in, term; ///< term: what is added, or none
  std::vector<BlockMap> maps;
  bool per_species = false;
  std::vector<double> bias; ///< [channels of the first block] or empty
  bool bias_per_neighbor = false;

  ValueId output() const { return out; }

  std::vector<Input*> inputs() { return {&in, &term}; }

  std::vector<ValueId> saved_for_adjoint() const { return {}; }

  std::vector<ValueId> read_on_ghosts() const { return {}; }

  Input* residual() { return &term; }

  void make(ValueId value) { out = value; }

  std::string describe(const ValueNames& names) const;
};

/// The map of a matrix [channels out, channels in] that all of the first n blocks share.
BlockMap uniform_map(const Tensor& weight, std::size_t n_blocks);

/// Neighboring blocks with the same matrix and the same layout become one map. `multiple`: to which
/// channels are padded.
std::vector<BlockMap> merge_equal_blocks(std::vector<BlockMap> maps,
                                         const std::vector<Block>& in,
                                         const std::vector<Block>& out,
                                         std::int32_t multiple);

} // namespace eqnn::plan
