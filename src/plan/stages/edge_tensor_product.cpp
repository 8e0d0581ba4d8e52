// SPDX-License-Identifier: BSD-3-Clause
#include "plan/plan_builder.hpp"

namespace eqnn::plan {

void lower(const EdgeTensorProductStage& op, PlanBuilder& build) {
  EdgeProduct product;
  static_cast<Couplings&>(product) =
      couplings_of(op.paths, build.stage(op.source).irreps, build.current().irreps);
  add_product(std::move(product), op.source, op.radial, build);
}

} // namespace eqnn::plan
