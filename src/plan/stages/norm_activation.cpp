// SPDX-License-Identifier: BSD-3-Clause
#include "plan/stages/norm_activation.hpp"

#include "plan/functions.hpp"
#include "plan/plan_builder.hpp"

#include <cmath>

namespace eqnn::plan {

std::string NormActivation::describe(const ValueNames& names) const {
  return names.out(out) + "function of norms of " + names.in(in);
}

void lower(const NormActivationStage& op, PlanBuilder& build) {
  // exp(-1/u) is 0 in double precision for smaller u.
  constexpr double kLeastArgument = 1e-3;
  NormActivation norm;
  norm.in = build.input(op.features);
  norm.out = build.output(build.blocks(op.features));
  norm.function = function_of(op.function);
  for (const IrrepsBlock& block : build.current().irreps) {
    if (op.limit) {
      const double unit = *op.limit * std::sqrt(block.components());
      norm.blocks.push_back({1.0 / unit, kLeastArgument * unit});
    } else {
      norm.blocks.push_back({0.0, op.eps});
    }
  }
  build.add(std::move(norm));
}

} // namespace eqnn::plan
