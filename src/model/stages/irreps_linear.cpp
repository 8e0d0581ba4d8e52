// SPDX-License-Identifier: BSD-3-Clause
#include "model/graph_reader.hpp"

namespace eqnn {

void read(const JsonReader& entry, GraphReader& graph, IrrepsLinearStage& op) {
  GraphReader::allow_attributes(entry, {"irreps"});
  const JsonReader inputs = GraphReader::inputs_of(entry, {"features"});
  op.features = graph.features(inputs, "features");
  const bool per_species = op.per_species = entry.at("op").string() == "species_linear";
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
          key, " is no block of the input, ", irreps_text(in), ". Re-export the model.");
    }
    std::vector<std::int64_t> shape{out[b].channels,
                                    in[static_cast<std::size_t>(weight.in)].channels};
    if (per_species) {
      shape.insert(shape.begin(), graph.n_species());
    }
    weight.weight = graph.weights().take(weights.at(key), shape);
    op.blocks.push_back(std::move(weight));
  }
  if (!per_species && find_block(out, {}) == 0) {
    keys.insert("bias");
    if (weights.value().contains("bias")) {
      op.bias = graph.weights().take(weights.at("bias"), {out.front().channels});
    }
  }
  weights.allow_only(keys);
  graph.make_irreps(out);
}

} // namespace eqnn
