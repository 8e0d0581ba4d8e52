// SPDX-License-Identifier: BSD-3-Clause
#include "model/graph_reader.hpp"

#include <algorithm>

namespace eqnn {

void read(const JsonReader& entry, GraphReader& graph, GauntConvolutionStage& op) {
  GraphReader::allow_attributes(entry, {"l_max"});
  GraphReader::weights_of(entry, {});
  const JsonReader inputs = GraphReader::inputs_of(entry, {"source", "harmonics", "radial"});
  op.source = graph.uniform(inputs, "source");
  op.harmonics = graph.harmonics_input(inputs);
  op.radial = graph.radial_input(inputs);
  const Stage& source = graph.stage_at(op.source);
  const std::int32_t l_filter = graph.stage_at(op.harmonics).l_max;
  if (graph.is_o3() && source.l_max > 0 && !graph.has_parity_of_harmonics(op.source)) {
    inputs.at("source").error(irreps_text(source.irreps),
                              ", expected the parities of the harmonics. Re-export the model.");
  }
  GraphReader::expect_equal(inputs.at("radial"),
                            "channels",
                            graph.stage_at(op.radial).channels,
                            std::int64_t{l_filter + 1} * source.channels);
  const std::int32_t l_max =
      entry.at("l_max").integer(0, std::min(source.l_max + l_filter, kMaxDegree));
  graph.make_irreps(uniform_irreps(l_max, source.channels, graph.is_o3()));
}

SpeciesTables species_tables(GauntConvolutionStage&) { return {}; }

} // namespace eqnn
