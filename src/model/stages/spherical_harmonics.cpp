// SPDX-License-Identifier: BSD-3-Clause
#include "model/graph_reader.hpp"

namespace eqnn {

void read(const JsonReader& entry, GraphReader& graph, SphericalHarmonicsStage& op) {
  GraphReader::allow_attributes(entry, {"l_max"});
  GraphReader::inputs_of(entry, {});
  GraphReader::weights_of(entry, {});
  const std::int32_t l_max = entry.at("l_max").integer(0, graph.spec().l_max);
  graph.made().kind = ValueKind::Harmonics;
  graph.made().l_max = l_max;
  op.l_max = l_max;
}

SpeciesTables species_tables(SphericalHarmonicsStage&) { return {}; }

} // namespace eqnn
