// SPDX-License-Identifier: BSD-3-Clause
#include "plan/stages/species_embedding.hpp"

#include "plan/plan_builder.hpp"

namespace eqnn::plan {

std::string SpeciesEmbedding::describe(const ValueNames& names) const {
  return names.out(out) + "species embedding";
}

void lower(const SpeciesEmbeddingStage& op, PlanBuilder& build) {
  const ValueId out = build.output();
  build.add(SpeciesEmbedding{out, op.table.values});
}

} // namespace eqnn::plan
