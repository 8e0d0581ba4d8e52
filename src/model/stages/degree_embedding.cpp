// SPDX-License-Identifier: BSD-3-Clause
#include "model/graph_reader.hpp"

namespace eqnn {

void read(const JsonReader& entry, GraphReader& graph, DegreeEmbeddingStage& op) {
  GraphReader::allow_attributes(entry, {});
  const JsonReader inputs = GraphReader::inputs_of(entry, {"matrix", "radial"});
  op.matrix = graph.edge_matrix_input(inputs);
  op.radial = graph.radial_input(inputs);
  const JsonReader weights = GraphReader::weights_of(entry, {"weight", "bias"});
  op.weight = graph.weights().take(weights.at("weight"), {-1, graph.stage_at(op.radial).channels});
  const std::int64_t channels = GraphReader::checked_channels(weights.at("weight"), op.weight, 0);
  op.bias = graph.weights().take(weights.at("bias"), {channels});
  graph.make_features(graph.stage_at(op.matrix).l_max, channels);
}

SpeciesTables species_tables(DegreeEmbeddingStage&) { return {}; }

} // namespace eqnn
