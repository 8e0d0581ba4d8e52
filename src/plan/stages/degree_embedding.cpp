// SPDX-License-Identifier: BSD-3-Clause
#include "plan/plan_builder.hpp"

namespace eqnn::plan {

void lower(const DegreeEmbeddingStage& op, PlanBuilder& build) {
  // W (sum over edges): channels are mixed on the nodes instead of on the edges.
  const eqnn::Stage& s = build.current();
  std::vector<Block> blocks = PlanBuilder::blocks_of(s.irreps);
  for (Block& block : blocks) {
    block.channels = block.reserved = build.stage(op.radial).channels;
  }
  const ValueId sum = build.new_value(s.output + ".sum", blocks);
  build.add(NeighborSum{sum, build.index(op.matrix), build.index(op.radial)});
  Linear linear;
  linear.out = build.output();
  linear.in = {sum, Write::Add};
  linear.maps.push_back(uniform_map(op.weight, blocks.size()));
  linear.bias = op.bias.values;
  linear.bias_per_neighbor = true;
  build.add(std::move(linear));
}

} // namespace eqnn::plan
