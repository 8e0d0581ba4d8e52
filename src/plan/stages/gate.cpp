// SPDX-License-Identifier: BSD-3-Clause
#include "plan/stages/gate.hpp"

#include "plan/functions.hpp"
#include "plan/plan_builder.hpp"

namespace eqnn::plan {
namespace {

/// Whether `next` continues where `row` ends, with the same gates and the same layout of blocks.
bool continues(const GateRow& row,
               const GateRow& next,
               const std::vector<Block>& in,
               std::int32_t multiple) {
  const Block& a = in[static_cast<std::size_t>(row.in)];
  const Block& b = in[static_cast<std::size_t>(next.in)];
  return row.gate >= 0 && next.gate == row.gate && next.channel == row.channel &&
         next.channels == row.channels && next.function == row.function &&
         next.in == row.in + row.n_blocks && next.out == row.out + row.n_blocks &&
         a.channels == b.channels && padded(a.reserved, multiple) == padded(b.reserved, multiple);
}

} // namespace

std::string Gate::describe(const ValueNames& names) const {
  return names.out(out) + "gate of " + names.in(in) +
         (gates.value == kNoValue ? "" : " by " + names.in(gates));
}

void lower(const GateStage& op, PlanBuilder& build) {
  Gate gate;
  gate.in = build.input(op.features);
  if (op.gates != op.features) {
    gate.gates = build.input(op.gates);
  }
  gate.out = build.output();
  for (const GatedBlock& block : op.blocks) {
    const GateRow row{block.in,
                      block.out,
                      1,
                      block.gate,
                      block.channel,
                      block.channels,
                      function_of(block.function)};
    const std::vector<Block>& in = build.blocks(op.features);
    if (!gate.rows.empty() &&
        continues(gate.rows.back(), row, in, build.options().channel_multiple)) {
      ++gate.rows.back().n_blocks;
    } else {
      gate.rows.push_back(row);
    }
  }
  build.add(std::move(gate));
}

} // namespace eqnn::plan
