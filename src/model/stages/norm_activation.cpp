// SPDX-License-Identifier: BSD-3-Clause
#include "model/graph_reader.hpp"

namespace eqnn {
namespace {

/// Smaller norms have squares that vanish in single precision.
double smallest_norm(const JsonReader& entry) {
  constexpr double kSmallest = 1e-12;
  const double eps = entry.positive();
  if (!(eps >= kSmallest)) {
    entry.error("found ",
                eps,
                ", expected at least ",
                kSmallest,
                ": squares of smaller norms vanish in single precision. Re-export the model.");
  }
  return eps;
}

} // namespace

void read(const JsonReader& entry, GraphReader& graph, NormActivationStage& op) {
  GraphReader::weights_of(entry, {});
  op.features = graph.features(GraphReader::inputs_of(entry, {"features"}), "features");
  if (entry.at("op").string() == "norm_activation") {
    GraphReader::allow_attributes(entry, {"function", "eps"});
    op.function =
        GraphReader::activation(entry.at("function"), {"silu", "tanh", "shifted_softplus"});
    op.eps = smallest_norm(entry.at("eps"));
  } else {
    GraphReader::allow_attributes(entry, {"limit"});
    op.limit = entry.at("limit").positive();
  }
  graph.make_irreps(graph.stage_at(op.features).irreps);
}

SpeciesTables species_tables(NormActivationStage&) { return {}; }

} // namespace eqnn
