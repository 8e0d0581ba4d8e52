// SPDX-License-Identifier: BSD-3-Clause
#include "model/graph_reader.hpp"

namespace eqnn {

void read(const JsonReader& entry, GraphReader& graph, SpeciesEmbeddingStage& op) {
  GraphReader::allow_attributes(entry, {"l_max"});
  GraphReader::inputs_of(entry, {});
  op.l_max = entry.at("l_max").integer(0, graph.spec().l_max);
  const JsonReader table = GraphReader::weights_of(entry, {"table"}).at("table");
  op.table = graph.weights().take(table, {graph.n_species(), -1});
  graph.make_features(op.l_max, GraphReader::checked_channels(table, op.table, 1));
}

SpeciesTables species_tables(SpeciesEmbeddingStage& op) { return {{&op.table, 1}}; }

} // namespace eqnn
