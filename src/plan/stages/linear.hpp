// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/model_spec.hpp"
#include "plan/values.hpp"

namespace eqnn::plan {

/// Maps blocks in .. in + n_blocks - 1 of the input to as many blocks of the output, starting at
/// `out`. All use the same matrix, so this is one large matrix product.
struct BlockMap {
  std::int32_t in = -1, out = -1;
  std::int32_t n_blocks = 1;
  std::vector<double> weight; ///< [1 or n_species, channels in, channels out]
};

/// out = term + a linear map of each block + a bias on the first component (times the number of
/// neighbors if bias_per_neighbor). Input blocks that no map reads are ignored.
struct Linear {
  ValueId out = kNoValue;
  Input in, term; ///< term: optional term to add
  std::vector<BlockMap> maps;
  bool per_species = false;
  std::vector<double> bias; ///< [channels in the first block] or empty
  bool bias_per_neighbor = false;

  ValueId output() const { return out; }

  std::vector<Input*> inputs() { return {&in, &term}; }

  std::vector<ValueId> saved_for_adjoint() const { return {}; }

  std::vector<ValueId> read_on_ghosts() const { return {}; }

  Input* residual() { return &term; }

  void make(ValueId value) { out = value; }

  std::string describe(const ValueNames& names) const;
};

/// The map of the first n blocks by one shared matrix [channels out, channels in].
BlockMap uniform_map(const Tensor& weight, std::size_t n_blocks);

/// Merges maps of adjacent blocks with the same matrix and the same layout. `multiple`: channels
/// are padded to a multiple of this.
std::vector<BlockMap> merge_equal_blocks(std::vector<BlockMap> maps,
                                         const std::vector<Block>& in,
                                         const std::vector<Block>& out,
                                         std::int32_t multiple);

} // namespace eqnn::plan
