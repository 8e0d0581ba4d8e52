// SPDX-License-Identifier: BSD-3-Clause
#include "model/graph_reader.hpp"

namespace eqnn {
namespace {

const std::set<std::string>& activations() {
  static const std::set<std::string> kWords{"none", "silu", "tanh", "gelu", "mish"};
  return kWords;
}

/// Exponent of the polynomial envelope; 0 if there is none.
double read_exponent(const JsonReader& entry) {
  if (!entry.has("envelope")) {
    return 0.0;
  }
  const JsonReader envelope = entry.at("envelope");
  envelope.allow_only({"kind", "p"});
  (void)envelope.at("kind").word({"polynomial"});
  return GraphReader::polynomial_order(envelope.at("p"));
}

/// The blocks that paths start from: the last channels of 0e are for the network.
Irreps blocks_of_paths(const JsonReader& inputs, const Irreps& source, std::int32_t scalars) {
  Irreps blocks = source;
  const std::int32_t b = find_block(blocks, {});
  const std::int32_t found = b < 0 ? 0 : blocks[static_cast<std::size_t>(b)].channels;
  if (found < scalars) {
    inputs.at("source").error("found ",
                              found,
                              " channels of 0e, expected at least ",
                              scalars,
                              ", as many as the center has. Re-export the model.");
  }
  if (found == scalars) {
    blocks.erase(blocks.begin() + b);
    if (blocks.empty()) {
      inputs.at("source").error("found ",
                                found,
                                " channels of 0e, all of them for the network, expected features "
                                "for the paths too. Re-export the model.");
    }
  } else {
    blocks[static_cast<std::size_t>(b)].channels -= scalars;
  }
  return blocks;
}

std::vector<MlpLayer>
read_layers(const JsonReader& entry, GraphReader& graph, std::int32_t scalars) {
  std::vector<MlpLayer> layers = graph.layers(entry.at("layers"), scalars, activations());
  if (layers.size() > kMostNetworkLayers) {
    entry.at("layers").error("the network has ",
                             layers.size(),
                             " layers after the sum, expected at most ",
                             kMostNetworkLayers,
                             ". Train with fewer.");
  }
  for (const MlpLayer& layer : layers) {
    if (layer.layer_norm) {
      entry.at("layers").error("found layer_norm in a network of edges, expected null: this "
                               "version does not support it there. Re-export the model.");
    }
  }
  return layers;
}

} // namespace

void read(const JsonReader& entry, GraphReader& graph, EdgeNetworkProductStage& op) {
  GraphReader::allow_attributes(entry, {"activation", "layers", "paths", "envelope"});
  GraphReader::weights_of(entry, {});
  const JsonReader inputs =
      GraphReader::inputs_of(entry, {"source", "center", "harmonics", "radial"});
  op.source = graph.features(inputs, "source");
  op.center = graph.features(inputs, "center");
  const Irreps& center = graph.stage_at(op.center).irreps;
  if (center.size() != 1 || !center.front().same_kind({})) {
    inputs.at("center").error(
        "found ", irreps_text(center), ", expected scalars (0e) alone. Re-export the model.");
  }
  op.scalars = center.front().channels;
  op.harmonics = graph.harmonics_input(inputs);
  op.radial = graph.radial_input(inputs);
  GraphReader::expect_equal(
      inputs.at("radial"), "channels", graph.stage_at(op.radial).channels, op.scalars);
  op.activation = GraphReader::activation(entry.at("activation"), activations());
  op.layers = read_layers(entry, graph, op.scalars);
  const Irreps source = blocks_of_paths(inputs, graph.stage_at(op.source).irreps, op.scalars);
  TensorProductPaths paths =
      graph.paths(entry.at("paths"), source, graph.stage_at(op.harmonics).l_max);
  GraphReader::expect_equal(entry.at("layers"),
                            "the last layer's number of outputs",
                            op.layers.back().weight.shape[0],
                            paths.channels);
  op.paths = std::move(paths.paths);
  if (source.size() != graph.stage_at(op.source).irreps.size()) {
    // Positions among all blocks of the source, the first of which is 0e.
    for (TensorProductPath& path : op.paths) {
      ++path.source;
    }
  }
  op.envelope = read_exponent(entry);
  graph.make_irreps(std::move(paths.out));
}

SpeciesTables species_tables(EdgeNetworkProductStage&) { return {}; }

} // namespace eqnn
