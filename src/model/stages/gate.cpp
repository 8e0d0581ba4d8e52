// SPDX-License-Identifier: BSD-3-Clause
#include "model/graph_reader.hpp"

namespace eqnn {

void read(const JsonReader& entry, GraphReader& graph, GateStage& op) {
  GraphReader::allow_attributes(entry, {});
  GraphReader::weights_of(entry, {});
  const JsonReader inputs = GraphReader::inputs_of(entry, {"features", "gates"});
  op = {graph.uniform(inputs, "features"), graph.uniform(inputs, "gates")};
  GraphReader::expect_equal(inputs.at("gates"), "l_max", graph.stage_at(op.gates).l_max, 0);
  GraphReader::expect_equal(inputs.at("gates"),
                            "channels",
                            graph.stage_at(op.gates).channels,
                            graph.stage_at(op.features).channels);
  graph.make_features(graph.stage_at(op.features).l_max, graph.stage_at(op.features).channels);
}

} // namespace eqnn
