// SPDX-License-Identifier: BSD-3-Clause
#include "plan/stages/linear.hpp"

#include "plan/matrix.hpp"
#include "plan/plan_builder.hpp"

namespace eqnn::plan {

std::string Linear::describe(const ValueNames& names) const {
  return names.out(out) + "linear of " + names.in(in) +
         (term.value == kNoValue ? "" : " + " + names.in(term)) +
         (per_species ? ", per species" : "") + (bias_per_neighbor ? ", bias per neighbor" : "");
}

BlockMap uniform_map(const Tensor& weight, std::size_t n_blocks) {
  return {0,
          0,
          static_cast<std::int32_t>(n_blocks),
          transposed(weight.values, weight.shape[0], weight.shape[1])};
}

std::vector<BlockMap> merge_equal_blocks(std::vector<BlockMap> maps,
                                         const std::vector<Block>& in,
                                         const std::vector<Block>& out,
                                         std::int32_t multiple) {
  const auto alike = [&](const std::vector<Block>& blocks, std::int32_t a, std::int32_t b) {
    const Block& x = blocks[static_cast<std::size_t>(a)];
    const Block& y = blocks[static_cast<std::size_t>(b)];
    return x.channels == y.channels && padded(x.reserved, multiple) == padded(y.reserved, multiple);
  };
  std::vector<BlockMap> merged;
  for (BlockMap& map : maps) {
    if (!merged.empty()) {
      BlockMap& last = merged.back();
      if (map.in == last.in + last.n_blocks && map.out == last.out + last.n_blocks &&
          alike(in, map.in, last.in) && alike(out, map.out, last.out) &&
          map.weight == last.weight) {
        ++last.n_blocks;
        continue;
      }
    }
    merged.push_back(std::move(map));
  }
  return merged;
}

void lower(const LinearStage& op, PlanBuilder& build) {
  Linear linear;
  linear.in = build.input(op.features);
  linear.out = build.output();
  linear.per_species = op.per_species;
  for (const BlockWeight& w : op.blocks) {
    BlockMap map{w.in, w.out, 1, {}};
    const std::size_t n_matrices = op.per_species ? build.n_species() : 1;
    const std::size_t size = w.weight.values.size() / n_matrices;
    const std::size_t rank = w.weight.shape.size();
    for (std::size_t k = 0; k < n_matrices; ++k) {
      const auto begin = w.weight.values.begin() + static_cast<std::ptrdiff_t>(k * size);
      const auto columns = transposed({begin, begin + static_cast<std::ptrdiff_t>(size)},
                                      w.weight.shape[rank - 2],
                                      w.weight.shape[rank - 1]);
      map.weight.insert(map.weight.end(), columns.begin(), columns.end());
    }
    linear.maps.push_back(std::move(map));
  }
  linear.maps = merge_equal_blocks(std::move(linear.maps),
                                   build.blocks(op.features),
                                   PlanBuilder::blocks_of(build.current().irreps),
                                   build.options().channel_multiple);
  if (op.bias) {
    linear.bias = op.bias->values;
  }
  build.add(std::move(linear));
}

} // namespace eqnn::plan
