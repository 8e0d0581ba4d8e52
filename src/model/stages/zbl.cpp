// SPDX-License-Identifier: BSD-3-Clause
#include "model/graph_reader.hpp"

namespace eqnn {

void read(const JsonReader& entry, GraphReader& graph, ZblStage& op) {
  GraphReader::allow_attributes(
      entry, {"p", "screening_length", "screening_exponent", "coefficients", "exponents"});
  GraphReader::inputs_of(entry, {});
  const JsonReader radius = GraphReader::weights_of(entry, {"radius"}).at("radius");
  op.radius = graph.weights().take(radius, {graph.n_species()});
  for (const double r : op.radius.values) {
    if (!(r > 0.0)) {
      radius.error("a radius of ", r, " Angstrom, expected a positive one. Re-export the model.");
    }
  }
  op.p = GraphReader::polynomial_order(entry.at("p"));
  op.screening_length = entry.at("screening_length").positive();
  op.screening_exponent = entry.at("screening_exponent").positive();
  for (const auto& c : entry.at("coefficients").elements()) {
    op.coefficients.push_back(c.number());
  }
  for (const auto& c : entry.at("exponents").elements()) {
    op.exponents.push_back(c.positive());
  }
  if (op.coefficients.empty() || op.coefficients.size() != op.exponents.size()) {
    entry.at("exponents")
        .error(op.exponents.size(),
               " exponents for ",
               op.coefficients.size(),
               " coefficients. Re-export the model.");
  }
  graph.made().kind = ValueKind::Scalar;
}

SpeciesTables species_tables(ZblStage& op) { return {{&op.radius, 1}}; }

} // namespace eqnn
