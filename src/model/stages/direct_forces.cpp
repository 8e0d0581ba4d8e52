// SPDX-License-Identifier: BSD-3-Clause
#include "model/graph_reader.hpp"

namespace eqnn {

void read(const JsonReader& entry, GraphReader& graph, DirectForcesStage& op) {
  GraphReader::allow_attributes(entry, {});
  GraphReader::weights_of(entry, {});
  const JsonReader inputs = GraphReader::inputs_of(entry, {"features"});
  op = {graph.uniform(inputs, "features")};
  GraphReader::expect_equal(
      inputs.at("features"), "channels", graph.stage_at(op.features).channels, 1);
  if (graph.stage_at(op.features).l_max < 1) {
    inputs.at("features")
        .error("l_max is 0, expected at least 1 (forces are vectors). Re-export the model.");
  }
  graph.made().kind = ValueKind::Forces;
}

SpeciesTables species_tables(DirectForcesStage&) { return {}; }

} // namespace eqnn
