// SPDX-License-Identifier: BSD-3-Clause
#include "plan/stages/divide.hpp"

#include "plan/plan_builder.hpp"

namespace eqnn::plan {

std::string Divide::describe(const ValueNames& names) const {
  return names.out(out) + names.in(in) + " divided by " + names.in(divisor);
}

void lower(const DivideStage& op, PlanBuilder& build) {
  Divide divide;
  divide.in = build.input(op.features);
  divide.divisor = build.input(op.divisor);
  divide.out = build.output(build.blocks(op.features));
  build.add(divide);
}

} // namespace eqnn::plan
