// SPDX-License-Identifier: BSD-3-Clause
#include "model/graph_reader.hpp"

namespace eqnn {
namespace {

/// Order of the polynomial envelope; 0 if the attention has none.
std::int32_t read_order(const JsonReader& entry) {
  if (!entry.has("envelope")) {
    return 0;
  }
  const JsonReader envelope = entry.at("envelope");
  envelope.allow_only({"kind", "p"});
  (void)envelope.at("kind").word({"polynomial"});
  constexpr std::int64_t kMostOrder = 32;
  return envelope.at("p").integer(2, kMostOrder);
}

} // namespace

void read(const JsonReader& entry, GraphReader& graph, EdgeAttentionStage& op) {
  GraphReader::allow_attributes(entry, {"heads", "negative_slope", "eps", "envelope"});
  const JsonReader inputs = GraphReader::inputs_of(entry, {"source", "center", "matrix", "radial"});
  op.source = graph.uniform(inputs, "source");
  op.center = graph.uniform(inputs, "center");
  const std::int32_t l_max = graph.stage_at(op.source).l_max;
  const std::int32_t channels = graph.stage_at(op.source).channels;
  GraphReader::expect_equal(inputs.at("center"), "l_max", graph.stage_at(op.center).l_max, l_max);
  GraphReader::expect_equal(
      inputs.at("center"), "channels", graph.stage_at(op.center).channels, channels);
  op.matrix = graph.edge_matrix_input(inputs);
  GraphReader::expect_equal(inputs.at("matrix"), "l_max", graph.stage_at(op.matrix).l_max, l_max);
  op.radial = graph.radial_input(inputs);
  GraphReader::expect_equal(
      inputs.at("radial"), "channels", graph.stage_at(op.radial).channels, channels);
  op.heads = entry.at("heads").integer(1, channels);
  if (channels % op.heads != 0) {
    entry.at("heads").error(
        op.heads, " heads do not divide ", channels, " channels. Re-export the model.");
  }
  op.negative_slope = entry.at("negative_slope").number();
  if (!(op.negative_slope >= 0.0 && op.negative_slope <= 1.0)) {
    entry.at("negative_slope")
        .error("found ", op.negative_slope, ", expected 0 to 1. Re-export the model.");
  }
  op.eps = entry.at("eps").number();
  // The adjoint treats the largest logit of the softmax as a constant, which is exact only for eps
  // = 0.
  constexpr double kLargestEps = 1e-12;
  if (!(op.eps >= 0.0 && op.eps <= kLargestEps)) {
    entry.at("eps").error(
        "found ", op.eps, ", expected 0 to ", kLargestEps, ". Re-export the model.");
  }
  op.envelope = read_order(entry);
  const JsonReader weights = GraphReader::weights_of(entry,
                                                     {"logit_weight",
                                                      "logit_bias",
                                                      "logit_vector",
                                                      "value_weight",
                                                      "value_bias",
                                                      "gate_weight",
                                                      "gate_bias"});
  op.logit_weight = graph.weights().take(weights.at("logit_weight"), {channels, channels});
  op.logit_bias = graph.weights().take(weights.at("logit_bias"), {channels});
  op.logit_vector =
      graph.weights().take(weights.at("logit_vector"), {op.heads, channels / op.heads});
  op.value_weight = graph.weights().take(weights.at("value_weight"), {channels, channels});
  op.value_bias = graph.weights().take(weights.at("value_bias"), {channels});
  op.gate_weight = graph.weights().take(weights.at("gate_weight"), {channels, channels});
  op.gate_bias = graph.weights().take(weights.at("gate_bias"), {channels});
  graph.make_features(l_max, channels);
}

SpeciesTables species_tables(EdgeAttentionStage&) { return {}; }

} // namespace eqnn
