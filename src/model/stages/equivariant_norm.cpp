// SPDX-License-Identifier: BSD-3-Clause
#include "model/graph_reader.hpp"

namespace eqnn {

void read(const JsonReader& entry, GraphReader& graph, EquivariantNormStage& op) {
  GraphReader::allow_attributes(entry, {"eps"});
  op.features = graph.uniform(GraphReader::inputs_of(entry, {"features"}), "features");
  op.eps = GraphReader::norm_eps(entry.at("eps"));
  const Stage& x = graph.stage_at(op.features);
  const JsonReader weights = GraphReader::weights_of(entry, {"scale", "shift"});
  op.scale = graph.weights().take(weights.at("scale"), {x.l_max + 1, x.channels});
  op.shift = graph.weights().take(weights.at("shift"), {x.channels});
  graph.make_features(x.l_max, x.channels);
}

SpeciesTables species_tables(EquivariantNormStage&) { return {}; }

} // namespace eqnn
