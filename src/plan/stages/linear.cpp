// SPDX-License-Identifier: BSD-3-Clause
#include "plan/stages/linear.hpp"

#include "plan/matrix.hpp"
#include "plan/plan_builder.hpp"

namespace eqnn::plan {

std::string Linear::describe(const ValueNames& names) const {
  return names.out(out) + "linear of " + names.in(in) +
         (term.value == kNoValue ? "" : " + " + names.in(term)) +
         (per_species ? ", per species" : "") + (bias_per_neighbor ? ", bias per neighbour" : "");
}

BlockMap uniform_map(const Tensor& weight, std::size_t n_blocks) {
  return {0,
          0,
          static_cast<std::int32_t>(n_blocks),
          transposed(weight.values, weight.shape[0], weight.shape[1])};
}

void lower(const LinearStage& op, PlanBuilder& build) {
  Linear linear;
  linear.in = build.compact(op.features);
  linear.out = build.output();
  linear.maps.push_back(uniform_map(op.weight, build.current().irreps.size()));
  if (op.bias) {
    linear.bias = op.bias->values;
  }
  build.add(std::move(linear));
}

} // namespace eqnn::plan
