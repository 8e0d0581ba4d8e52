// SPDX-License-Identifier: BSD-3-Clause
#include "model/graph_reader.hpp"

namespace eqnn {

void read(const JsonReader& entry, GraphReader& graph, EdgeTensorProductStage& op) {
  GraphReader::allow_attributes(entry, {"paths"});
  GraphReader::weights_of(entry, {});
  const JsonReader inputs = GraphReader::inputs_of(entry, {"source", "harmonics", "radial"});
  op.source = graph.features(inputs, "source");
  op.harmonics = graph.harmonics_input(inputs);
  op.radial = graph.radial_input(inputs);
  TensorProductPaths paths = graph.paths(
      entry.at("paths"), graph.stage_at(op.source).irreps, graph.stage_at(op.harmonics).l_max);
  GraphReader::expect_equal(
      inputs.at("radial"), "channels", graph.stage_at(op.radial).channels, paths.channels);
  op.paths = std::move(paths.paths);
  graph.make_irreps(std::move(paths.out));
}

SpeciesTables species_tables(EdgeTensorProductStage&) { return {}; }

} // namespace eqnn
