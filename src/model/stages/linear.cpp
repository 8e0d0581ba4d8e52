// SPDX-License-Identifier: BSD-3-Clause
#include "model/graph_reader.hpp"

namespace eqnn {

void read(const JsonReader& entry, GraphReader& graph, LinearStage& op) {
  GraphReader::allow_attributes(entry, {"l_max"});
  op.features = graph.uniform(GraphReader::inputs_of(entry, {"features"}), "features");
  const Stage& x = graph.stage_at(op.features);
  op.l_max = entry.at("l_max").integer(0, x.l_max);
  const JsonReader weights = GraphReader::weights_of(entry, {"weight", "bias"});
  op.weight = graph.weights().take(weights.at("weight"), {-1, x.channels});
  const std::int64_t channels = GraphReader::checked_channels(weights.at("weight"), op.weight, 0);
  if (weights.value().contains("bias")) {
    op.bias = graph.weights().take(weights.at("bias"), {channels});
  }
  graph.make_features(op.l_max, channels);
}

} // namespace eqnn
