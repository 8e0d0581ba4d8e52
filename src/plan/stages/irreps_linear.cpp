// SPDX-License-Identifier: BSD-3-Clause
#include "plan/matrix.hpp"
#include "plan/plan_builder.hpp"

namespace eqnn::plan {

void lower(const IrrepsLinearStage& op, PlanBuilder& build) {
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
  if (op.bias) {
    linear.bias = op.bias->values;
  }
  build.add(std::move(linear));
}

} // namespace eqnn::plan
