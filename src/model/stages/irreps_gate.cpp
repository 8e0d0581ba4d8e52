// SPDX-License-Identifier: BSD-3-Clause
#include "model/graph_reader.hpp"

namespace eqnn {

void read(const JsonReader& entry, GraphReader& graph, IrrepsGateStage& op) {
  GraphReader::allow_attributes(entry, {"scalars", "activations", "gates"});
  GraphReader::weights_of(entry, {});
  op.features = graph.features(GraphReader::inputs_of(entry, {"features"}), "features");
  const Irreps& in = graph.stage_at(op.features).irreps;
  op.odd_gates = entry.at("gates").word({"0e", "0o"}) == "0o";
  const std::set<std::string> odd_functions{"none", "tanh"};
  const std::set<std::string> functions{"none", "silu", "tanh", "sigmoid"};
  std::int32_t n_gates = 0;
  std::set<std::string> keys; // of the scalar blocks that there are
  for (const IrrepsBlock& block : in) {
    n_gates += block.l > 0 ? block.channels : 0;
    if (block.l == 0) {
      keys.insert(block.odd ? "0o" : "0e");
    }
  }
  const JsonReader scalars = entry.at("scalars");
  scalars.allow_only(keys);
  keys.insert("gates");
  const JsonReader activations = entry.at("activations");
  activations.allow_only(keys);
  Irreps out;
  for (const bool odd : {false, true}) {
    const char* const key = odd ? "0o" : "0e";
    const std::int32_t b = find_block(in, {0, odd, 0});
    const std::int32_t there = b < 0 ? 0 : in[static_cast<std::size_t>(b)].channels;
    const std::int32_t gates = odd == op.odd_gates ? n_gates : 0;
    const std::int32_t n = b < 0 ? 0 : scalars.at(key).integer(0, kMaxChannels);
    if (n + gates != there) {
      scalars.error(n,
                    " scalars and ",
                    gates,
                    " gates in ",
                    key,
                    ", which has ",
                    there,
                    " channels. Re-export the model.");
    }
    if (b < 0) {
      continue;
    }
    (odd ? op.odd_scalars : op.even_scalars) = n;
    // A function of odd scalars keeps a parity only if it is odd itself.
    (odd ? op.odd_activation : op.even_activation) =
        GraphReader::activation(activations.at(key), odd ? odd_functions : functions);
    if (n > 0) {
      out.push_back({0, odd, n});
    }
  }
  op.gate_activation =
      GraphReader::activation(activations.at("gates"), op.odd_gates ? odd_functions : functions);
  for (const IrrepsBlock& block : in) {
    if (block.l > 0) {
      out.push_back({block.l, block.odd != op.odd_gates, block.channels});
    }
  }
  sort_blocks(out);
  if (out.empty()) {
    entry.error("the output has no block. Re-export the model.");
  }
  graph.make_irreps(std::move(out));
}

} // namespace eqnn
