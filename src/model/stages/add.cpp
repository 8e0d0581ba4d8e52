// SPDX-License-Identifier: BSD-3-Clause
#include "model/graph_reader.hpp"

#include <algorithm>

namespace eqnn {

void read(const JsonReader& entry, GraphReader& graph, AddStage& op) {
  GraphReader::allow_attributes(entry, {});
  const JsonReader inputs = GraphReader::inputs_of(entry, {"a", "b"});
  GraphReader::weights_of(entry, {});
  op = {graph.features(inputs, "a"), graph.features(inputs, "b")};
  const Irreps& a = graph.stage_at(op.a).irreps;
  for (const IrrepsBlock& block : graph.stage_at(op.b).irreps) {
    if (std::count(a.begin(), a.end(), block) == 0) {
      inputs.at("b").error(irreps_text({block}),
                           " is not a block of ",
                           irreps_text(a),
                           ", to which it is added. Re-export the model.");
    }
  }
  graph.make_irreps(a);
}

SpeciesTables species_tables(AddStage&) { return {}; }

} // namespace eqnn
