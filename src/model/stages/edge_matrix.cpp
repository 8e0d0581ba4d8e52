// SPDX-License-Identifier: BSD-3-Clause
#include "model/graph_reader.hpp"

namespace eqnn {

void read(const JsonReader& entry, GraphReader& graph, EdgeMatrixStage& op) {
  GraphReader::allow_attributes(entry, {});
  op.harmonics = graph.input(GraphReader::inputs_of(entry, {"harmonics"}).at("harmonics"),
                             ValueKind::Harmonics,
                             "spherical harmonics");
  graph.made().kind = ValueKind::Matrix;
  graph.made().l_max = graph.stage_at(op.harmonics).l_max;
  const std::int64_t d = sphere_components(graph.made().l_max);
  op.coupling =
      graph.weights().take(GraphReader::weights_of(entry, {"coupling"}).at("coupling"), {d, d, d});
}

SpeciesTables species_tables(EdgeMatrixStage&) { return {}; }

} // namespace eqnn
