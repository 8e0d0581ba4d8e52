// SPDX-License-Identifier: BSD-3-Clause
#include "reference/stages/species_embedding.hpp"

#include "reference/edges.hpp"
#include "reference/network.hpp"

namespace eqnn::reference {

Value species_embedding(const SpeciesEmbeddingStage& stage, const EdgeList& edges) {
  const auto channels = static_cast<std::int32_t>(stage.table.shape[1]);
  Value x(edges.n_centers, (stage.l_max + 1) * (stage.l_max + 1), channels);
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for (std::int32_t c = 0; c < channels; ++c) {
      x.at(i, 0, c) = weight_at(stage.table, edges.species[static_cast<std::size_t>(i)], c);
    }
  }
  return x;
}

Value forward(const SpeciesEmbeddingStage& op, Network& network) {
  return species_embedding(op, network.edges());
}

void adjoint(const SpeciesEmbeddingStage&, Network&) {}

} // namespace eqnn::reference
