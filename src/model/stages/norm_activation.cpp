// SPDX-License-Identifier: BSD-3-Clause
#include "model/graph_reader.hpp"

namespace eqnn {
namespace {

/// A norm whose square single precision holds, with room for what it is compared with.
double moderate_norm(const JsonReader& entry, double smallest) {
  constexpr double kLargest = 1e6;
  const double norm = entry.positive();
  if (!(norm >= smallest && norm <= kLargest)) {
    entry.error("found ",
                norm,
                ", expected ",
                smallest,
                " to ",
                kLargest,
                ": squares of other norms are lost in single precision. Re-export the model.");
  }
  return norm;
}

} // namespace

void read(const JsonReader& entry, GraphReader& graph, NormActivationStage& op) {
  GraphReader::weights_of(entry, {});
  op.features = graph.features(GraphReader::inputs_of(entry, {"features"}), "features");
  if (entry.at("op").string() == "norm_activation") {
    GraphReader::allow_attributes(entry, {"function", "eps"});
    op.function =
        GraphReader::activation(entry.at("function"), {"silu", "tanh", "shifted_softplus"});
    op.eps = moderate_norm(entry.at("eps"), 1e-12);
  } else {
    GraphReader::allow_attributes(entry, {"limit"});
    op.limit = moderate_norm(entry.at("limit"), 1e-6);
  }
  graph.make_irreps(graph.stage_at(op.features).irreps);
}

SpeciesTables species_tables(NormActivationStage&) { return {}; }

} // namespace eqnn
