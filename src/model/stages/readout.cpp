// SPDX-License-Identifier: BSD-3-Clause
#include "model/graph_reader.hpp"

namespace eqnn {

void read(const JsonReader& entry, GraphReader& graph, ReadoutStage& op) {
  GraphReader::allow_attributes(entry, {"layers"});
  GraphReader::weights_of(entry, {});
  const JsonReader inputs = GraphReader::inputs_of(entry, {"features"});
  op.features = graph.features(inputs, "features");
  const Irreps& irreps = graph.stage_at(op.features).irreps;
  if (find_block(irreps, {}) != 0) {
    inputs.at("features")
        .error(irreps_text(irreps), " has no scalars (0e) to read out. Re-export the model.");
  }
  op.layers = graph.layers(entry.at("layers"),
                           irreps.front().channels,
                           {"none", "silu", "tanh", "abs", "gelu", "mish", "shifted_softplus"});
  if (op.layers.size() > kMostReadoutLayers) {
    entry.at("layers").error("the readout has ",
                             op.layers.size(),
                             " layers, expected at most ",
                             kMostReadoutLayers,
                             ". Train with fewer.");
  }
  GraphReader::expect_equal(entry.at("layers"),
                            "the last layer's number of outputs",
                            op.layers.back().weight.shape[0],
                            1);
  for (const auto& layer : op.layers) {
    if (layer.layer_norm) {
      entry.at("layers").error("found layer_norm in a readout, expected null: this version does "
                               "not support it there. Re-export the model.");
    }
  }
  graph.made().kind = ValueKind::Scalar;
}

SpeciesTables species_tables(ReadoutStage&) { return {}; }

} // namespace eqnn
