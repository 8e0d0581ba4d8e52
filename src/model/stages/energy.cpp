// SPDX-License-Identifier: BSD-3-Clause
#include "model/graph_reader.hpp"

#include <algorithm>

namespace eqnn {

void read(const JsonReader& entry, GraphReader& graph, EnergyStage& op) {
  GraphReader::allow_attributes(entry, {});
  GraphReader::weights_of(entry, {});
  for (const auto& term : GraphReader::inputs_of(entry, {"terms"}).at("terms").elements()) {
    op.terms.push_back(graph.input(term, ValueKind::Scalar, "a scalar per node"));
    if (std::count(op.terms.begin(), op.terms.end(), op.terms.back()) > 1) {
      term.error("this term occurs twice, expected once. Re-export the model.");
    }
  }
  if (op.terms.empty()) {
    entry.error("no terms, expected at least one. Re-export the model.");
  }
  graph.made().kind = ValueKind::Energy;
}

SpeciesTables species_tables(EnergyStage&) { return {}; }

} // namespace eqnn
