// SPDX-License-Identifier: BSD-3-Clause
#include "plan/stages/symmetric_contraction.hpp"

#include "plan/plan_builder.hpp"

namespace eqnn::plan {

Polynomial
contraction(const SymmetricContractionStage& stage, const Irreps& out, std::size_t n_species) {
  const auto n_channels = static_cast<std::size_t>(stage.terms.front().weights.shape[2]);
  PolynomialBuilder builder(n_species, n_channels);
  for (const ContractionTerm& term : stage.terms) {
    const auto n_weights = static_cast<std::size_t>(term.weights.shape[1]);
    for (std::size_t row = 0; row < term.indices.size(); ++row) {
      const auto& index = term.indices[row];
      builder.add({index.begin() + 2, index.begin() + 2 + term.nu},
                  first_component(out, term.block) + index[0],
                  term.values.values[row],
                  {&term.weights.values[static_cast<std::size_t>(index[1]) * n_channels],
                   n_weights * n_channels,
                   1});
    }
  }
  return builder.build();
}

void lower(const SymmetricContractionStage& op, PlanBuilder& build) {
  Polynomial polynomial = contraction(op, build.current().irreps, build.n_species());
  polynomial.in = build.compact(op.features);
  polynomial.out = build.output();
  build.add(std::move(polynomial));
}

} // namespace eqnn::plan
