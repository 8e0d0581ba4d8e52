// SPDX-License-Identifier: BSD-3-Clause
#include "model/graph_reader.hpp"

namespace eqnn {

void read(const JsonReader& entry, GraphReader& graph, SymmetricContractionStage& op) {
  GraphReader::allow_attributes(entry, {"irreps", "terms"});
  GraphReader::weights_of(entry, {});
  op.features = graph.uniform(GraphReader::inputs_of(entry, {"features"}), "features");
  const std::int32_t channels = graph.stage_at(op.features).channels;
  const std::int64_t d = sphere_components(graph.stage_at(op.features).l_max);
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
    if (t.nu < 1 || t.nu > 3) {
      term.at("indices").error(indices.shape[1],
                               " columns, expected 3 to 5: component, weight, and 1 to 3 factors. "
                               "Re-export the model.");
    }
    const std::int64_t n = indices.shape[0];
    t.values = graph.weights().take(term.at("values"), {n});
    t.weights = graph.weights().take(term.at("weights"), {graph.n_species(), -1, channels});
    const std::array<std::int64_t, 5> limits{
        out[static_cast<std::size_t>(t.block)].components(), t.weights.shape[1], d, d, d};
    for (std::int64_t k = 0; k < n; ++k) {
      std::array<std::int32_t, 5> row{};
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

} // namespace eqnn
