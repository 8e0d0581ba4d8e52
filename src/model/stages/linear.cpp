// SPDX-License-Identifier: BSD-3-Clause
#include "model/graph_reader.hpp"
#include "model/uniform_stages.hpp"

namespace eqnn {
namespace {

/// `irreps_linear` and `species_linear`: a matrix for each block.
void read_blocks(const JsonReader& entry, GraphReader& graph, LinearStage& op) {
  GraphReader::allow_attributes(entry, {"irreps"});
  const JsonReader inputs = GraphReader::inputs_of(entry, {"features"});
  op.features = graph.features(inputs, "features");
  const Irreps& in = graph.stage_at(op.features).irreps;
  const Irreps out = graph.irreps_attribute(entry);
  const JsonReader weights = entry.at("weights");
  std::set<std::string> keys;
  for (std::size_t b = 0; b < out.size(); ++b) {
    const std::string key = kind_name(out[b]);
    keys.insert(key);
    BlockWeight weight;
    weight.in = find_block(in, out[b]);
    weight.out = static_cast<std::int32_t>(b);
    if (weight.in < 0) {
      entry.at("irreps").error(
          key, " is not a block of the input, ", irreps_text(in), ". Re-export the model.");
    }
    std::vector<std::int64_t> shape{out[b].channels,
                                    in[static_cast<std::size_t>(weight.in)].channels};
    if (op.per_species) {
      shape.insert(shape.begin(), graph.n_species());
    }
    weight.weight = graph.weights().take(weights.at(key), shape);
    op.blocks.push_back(std::move(weight));
  }
  if (!op.per_species && find_block(out, {}) == 0) {
    keys.insert("bias");
    if (weights.has("bias")) {
      op.bias = graph.weights().take(weights.at("bias"), {out.front().channels});
    }
  }
  weights.allow_only(keys);
  graph.make_irreps(out);
}

/// `linear`: one matrix for all degrees.
void read_uniform(const JsonReader& entry, GraphReader& graph, LinearStage& op) {
  GraphReader::allow_attributes(entry, {"l_max"});
  const StageIndex features =
      graph.uniform(GraphReader::inputs_of(entry, {"features"}), "features");
  const Stage& x = graph.stage_at(features);
  const std::int32_t l_max = entry.at("l_max").integer(0, x.l_max);
  const JsonReader weights = GraphReader::weights_of(entry, {"weight", "bias"});
  const Tensor weight = graph.weights().take(weights.at("weight"), {-1, x.channels});
  const std::int64_t channels = GraphReader::checked_channels(weights.at("weight"), weight, 0);
  std::optional<Tensor> bias;
  if (weights.has("bias")) {
    bias = graph.weights().take(weights.at("bias"), {channels});
  }
  op = uniform_linear(features, l_max, weight, bias);
  graph.make_features(l_max, channels);
}

} // namespace

void read(const JsonReader& entry, GraphReader& graph, LinearStage& op) {
  const std::string name = entry.at("op").string();
  op.per_species = name == "species_linear";
  if (name == "linear") {
    read_uniform(entry, graph, op);
  } else {
    read_blocks(entry, graph, op);
  }
}

SpeciesTables species_tables(LinearStage& op) {
  SpeciesTables tables;
  if (op.per_species) {
    for (BlockWeight& block : op.blocks) {
      tables.push_back({&block.weight, 1});
    }
  }
  return tables;
}

} // namespace eqnn
