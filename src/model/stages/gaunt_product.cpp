// SPDX-License-Identifier: BSD-3-Clause
#include "model/graph_reader.hpp"

#include <algorithm>

namespace eqnn {

void read(const JsonReader& entry, GraphReader& graph, GauntProductStage& op) {
  GraphReader::allow_attributes(entry, {"l_max"});
  const JsonReader inputs = GraphReader::inputs_of(entry, {"a", "b"});
  op.a = graph.uniform(inputs, "a");
  op.b = graph.uniform(inputs, "b");
  const Stage& a = graph.stage_at(op.a);
  const Stage& b = graph.stage_at(op.b);
  GraphReader::expect_equal(inputs.at("b"), "channels", b.channels, a.channels);
  const bool odd = graph.has_parity_of_harmonics(op.a) || graph.has_parity_of_harmonics(op.b);
  for (const StageIndex factor : {op.a, op.b}) {
    if (odd && graph.stage_at(factor).l_max > 0 && !graph.has_parity_of_harmonics(factor)) {
      entry.at("inputs").error(
          irreps_text(a.irreps),
          " times ",
          irreps_text(b.irreps),
          " has no parity, expected the parity of the harmonics in both factors. "
          "Re-export the model.");
    }
  }
  const std::int32_t l_max = entry.at("l_max").integer(0, std::min(a.l_max + b.l_max, kMaxDegree));
  const JsonReader weights =
      GraphReader::weights_of(entry, {"scale_a", "scale_b", "scale_out", "curl"});
  const auto optional = [&](const char* key, std::int32_t degree, std::optional<Tensor>& tensor) {
    if (weights.has(key)) {
      tensor = graph.weights().take(weights.at(key), {degree + 1, a.channels});
    }
  };
  optional("scale_a", a.l_max, op.scale_a);
  optional("scale_b", b.l_max, op.scale_b);
  optional("scale_out", l_max, op.scale_out);
  optional("curl", l_max, op.curl);
  if (op.curl && graph.is_o3()) {
    weights.at("curl").error("found in a model of parity o3, expected so3: the curl of two "
                             "functions changes sign under inversion. Re-export the model.");
  }
  graph.make_irreps(uniform_irreps(l_max, a.channels, odd));
}

SpeciesTables species_tables(GauntProductStage&) { return {}; }

} // namespace eqnn
