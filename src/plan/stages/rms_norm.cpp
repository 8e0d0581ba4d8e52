// SPDX-License-Identifier: BSD-3-Clause
#include "plan/stages/rms_norm.hpp"

#include "plan/plan_builder.hpp"

namespace eqnn::plan {

std::string RmsNorm::describe(const ValueNames& names) const {
  return names.out(out) + "RMS norm of " + names.in(in);
}

void lower(const RmsNormStage& op, PlanBuilder& build) {
  RmsNorm norm;
  norm.in = build.input(op.features);
  norm.out = build.output(build.blocks(op.features));
  norm.eps = op.eps;
  for (const Tensor& scale : op.scale) {
    norm.scale.push_back(scale.values);
  }
  build.add(std::move(norm));
}

} // namespace eqnn::plan
