// SPDX-License-Identifier: BSD-3-Clause
#include "model/graph_reader.hpp"

namespace eqnn {

void read(const JsonReader& entry, GraphReader& graph, DivideStage& op) {
  GraphReader::allow_attributes(entry, {});
  GraphReader::weights_of(entry, {});
  const JsonReader inputs = GraphReader::inputs_of(entry, {"features", "divisor"});
  op.features = graph.features(inputs, "features");
  op.divisor = graph.features(inputs, "divisor");
  const Irreps& divisor = graph.stage_at(op.divisor).irreps;
  if (irreps_text(divisor) != "1x0e") {
    inputs.at("divisor").error(
        "features of ", irreps_text(divisor), ", expected 1x0e. Re-export the model.");
  }
  graph.make_irreps(graph.stage_at(op.features).irreps);
}

SpeciesTables species_tables(DivideStage&) { return {}; }

} // namespace eqnn
