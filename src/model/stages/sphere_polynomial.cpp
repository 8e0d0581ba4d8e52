// SPDX-License-Identifier: BSD-3-Clause
#include "model/graph_reader.hpp"

namespace eqnn {

void read(const JsonReader& entry, GraphReader& graph, SpherePolynomialStage& op) {
  GraphReader::allow_attributes(entry, {"l_max"});
  op.features = graph.uniform(GraphReader::inputs_of(entry, {"features"}), "features");
  const std::int32_t l_max = entry.at("l_max").integer(0, kMaxDegree);
  const std::int32_t channels = graph.stage_at(op.features).channels;
  const JsonReader weights =
      GraphReader::weights_of(entry, {"order_1", "order_2", "order_3", "order_4"});
  for (std::int32_t nu = 1; nu <= 4; ++nu) {
    const std::string key = "order_" + std::to_string(nu);
    if (!weights.has(key)) {
      break;
    }
    op.orders.push_back(
        graph.weights().take(weights.at(key), {graph.n_species(), channels, l_max + 1}));
  }
  if (op.orders.empty() || op.orders.size() != weights.size()) {
    weights.error("orders are missing, expected order_1, order_2 and so on without gaps. "
                  "Re-export the model.");
  }
  graph.make_irreps(uniform_irreps(l_max, channels, graph.has_parity_of_harmonics(op.features)));
}

SpeciesTables species_tables(SpherePolynomialStage& op) {
  SpeciesTables tables;
  for (Tensor& order : op.orders) {
    tables.push_back({&order, 1});
  }
  return tables;
}

} // namespace eqnn
