// SPDX-License-Identifier: BSD-3-Clause
#include "plan/stages/add.hpp"

#include "plan/plan_builder.hpp"

namespace eqnn::plan {

std::string Add::describe(const ValueNames& names) const {
  return names.out(out) + names.in(a) + " + " + names.in(b);
}

void lower(const AddStage& op, PlanBuilder& build) {
  const Irreps& a = build.stage(op.a).irreps;
  const Irreps& b = build.stage(op.b).irreps;
  Add add;
  // The layout of the first term, which includes padding for SIMD loops.
  add.out = build.output(build.blocks(op.a));
  add.a = build.input(op.a);
  add.b = build.input(op.b);
  if (!(a == b) || !build.same_layout(op.a, op.b)) {
    for (const IrrepsBlock& block : b) {
      add.blocks.push_back(find_block(a, block));
    }
  }
  build.add(std::move(add));
}

} // namespace eqnn::plan
