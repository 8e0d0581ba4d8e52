// SPDX-License-Identifier: BSD-3-Clause
#include "model/graph_reader.hpp"

namespace eqnn {

void read(const JsonReader& entry, GraphReader& graph, SymmetricContractionStage& op) {
  GraphReader::allow_attributes(entry, {"irreps", "terms"});
  GraphReader::weights_of(entry, {});
  op.features = graph.equal_channels(GraphReader::inputs_of(entry, {"features"}), "features");
  const Irreps& in = graph.stage_at(op.features).irreps;
  const std::int32_t channels = in.front().channels;
  const std::int64_t d = component_count(in);
  const Irreps out = graph.irreps_attribute(entry);
  for (const IrrepsBlock& block : out) {
    GraphReader::expect_equal(
        entry.at("irreps"), "the number of channels", block.channels, channels);
  }
  for (const JsonReader& term : entry.at("terms").elements()) {
    term.allow_only({"irrep", "indices", "values", "weights"});
    ContractionTerm t;
    t.block = GraphReader::block_of(term.at("irrep"), out);
    const Tensor indices = graph.weights().take_integers(term.at("indices"), {-1, -1});
    t.nu = static_cast<std::int32_t>(indices.shape[1]) - 2;
    if (t.nu < 1 || t.nu > kMostFactors) {
      term.at("indices").error(indices.shape[1],
                               " columns, expected 3 to ",
                               2 + kMostFactors,
                               ": component, weight, and 1 to ",
                               kMostFactors,
                               " factors. Re-export the model.");
    }
    const std::int64_t n = indices.shape[0];
    t.values = graph.weights().take(term.at("values"), {n});
    t.weights = graph.weights().take(term.at("weights"), {graph.n_species(), -1, channels});
    std::array<std::int64_t, 2 + kMostFactors> limits{};
    limits.fill(d);
    limits[0] = out[static_cast<std::size_t>(t.block)].components();
    limits[1] = t.weights.shape[1];
    for (std::int64_t k = 0; k < n; ++k) {
      ContractionTerm::Row row{};
      for (std::int32_t c = 0; c < t.nu + 2; ++c) {
        const auto column = static_cast<std::size_t>(c);
        const double index = indices.values[static_cast<std::size_t>(k * (t.nu + 2) + c)];
        if (index < 0 || index >= static_cast<double>(limits[column])) {
          term.at("indices").error("found ",
                                   index,
                                   " in row ",
                                   k,
                                   ", column ",
                                   c,
                                   ", expected 0 to ",
                                   limits[column] - 1,
                                   ". Re-export the model.");
        }
        row[column] = static_cast<std::int32_t>(index);
      }
      t.indices.push_back(row);
    }
    op.terms.push_back(std::move(t));
  }
  if (op.terms.empty()) {
    entry.at("terms").error("no term, expected at least one. Re-export the model.");
  }
  graph.make_irreps(out);
}

SpeciesTables species_tables(SymmetricContractionStage& op) {
  SpeciesTables tables;
  for (ContractionTerm& term : op.terms) {
    tables.push_back({&term.weights, 1});
  }
  return tables;
}

} // namespace eqnn
