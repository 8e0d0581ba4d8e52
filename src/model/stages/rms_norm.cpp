// SPDX-License-Identifier: BSD-3-Clause
#include "model/graph_reader.hpp"

namespace eqnn {

void read(const JsonReader& entry, GraphReader& graph, RmsNormStage& op) {
  GraphReader::allow_attributes(entry, {"eps"});
  op.features = graph.features(GraphReader::inputs_of(entry, {"features"}), "features");
  op.eps = GraphReader::norm_eps(entry.at("eps"));
  const Irreps& irreps = graph.stage_at(op.features).irreps;
  const JsonReader weights = entry.at("weights");
  std::set<std::string> keys;
  for (const IrrepsBlock& block : irreps) {
    keys.insert(kind_name(block));
    op.scale.push_back(graph.weights().take(weights.at(kind_name(block)), {block.channels}));
  }
  weights.allow_only(keys);
  graph.make_irreps(irreps);
}

SpeciesTables species_tables(RmsNormStage&) { return {}; }

} // namespace eqnn
