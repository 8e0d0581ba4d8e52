// SPDX-License-Identifier: BSD-3-Clause
#include "model/graph_reader.hpp"

namespace eqnn {
namespace {

constexpr std::int64_t kMaxPathChannels = 1 << 22;

void check_triangle(const JsonReader& where,
                    const IrrepsBlock& a,
                    std::int32_t l,
                    bool odd,
                    const IrrepsBlock& out) {
  if (out.l < std::abs(a.l - l) || out.l > a.l + l || out.odd != (a.odd != odd)) {
    where.error(
        kind_name(a),
        " x ",
        kind_name({l, odd, 0}),
        " -> ",
        kind_name(out),
        " is not a path: the degrees violate the triangle rule, or the parities do not multiply. "
        "Re-export the model.");
  }
}

} // namespace

void read(const JsonReader& entry, GraphReader& graph, EdgeTensorProductStage& op) {
  GraphReader::allow_attributes(entry, {"paths"});
  GraphReader::weights_of(entry, {});
  const JsonReader inputs = GraphReader::inputs_of(entry, {"source", "harmonics", "radial"});
  op.source = graph.features(inputs, "source");
  op.harmonics = graph.harmonics_input(inputs);
  op.radial = graph.radial_input(inputs);
  const Irreps& source = graph.stage_at(op.source).irreps;
  const auto entries = entry.at("paths").elements();
  if (entries.empty()) {
    entry.at("paths").error("no path, expected at least one. Re-export the model.");
  }
  Irreps out;
  std::vector<IrrepsBlock> out_of_path;
  std::int64_t n_radial = 0;
  for (const JsonReader& path : entries) {
    const auto parts = path.elements();
    if (parts.size() != 3) {
      path.error("found ",
                 parts.size(),
                 " entries, expected block, degree, block, as in [\"1o\", 2, \"3o\"]. Re-export "
                 "the model.");
    }
    TensorProductPath p;
    p.source = GraphReader::block_of(parts[0], source);
    p.l = parts[1].integer(0, graph.stage_at(op.harmonics).l_max);
    const IrrepsBlock& block = source[static_cast<std::size_t>(p.source)];
    auto target = parse_kind(parts[2].string());
    if (!target) {
      parts[2].error("found \"",
                     JsonReader::printable(parts[2].string()),
                     "\", expected a block such as \"1o\". Re-export the model.");
    }
    graph.check_block(parts[2], *target);
    check_triangle(path, block, p.l, graph.is_o3() && p.l % 2 == 1, *target);
    target->channels = block.channels;
    p.radial = static_cast<std::int32_t>(n_radial);
    n_radial += block.channels;
    if (n_radial > kMaxPathChannels) {
      path.error("the paths have more than ", kMaxPathChannels, " channels. Re-export the model.");
    }
    out_of_path.push_back(*target);
    op.paths.push_back(p);
  }
  for (const IrrepsBlock& target : out_of_path) {
    if (find_block(out, target) < 0) {
      out.push_back({target.l, target.odd, 0});
    }
  }
  sort_blocks(out);
  for (std::size_t k = 0; k < op.paths.size(); ++k) {
    op.paths[k].out = find_block(out, out_of_path[k]);
    IrrepsBlock& block = out[static_cast<std::size_t>(op.paths[k].out)];
    op.paths[k].channel = block.channels;
    block.channels += out_of_path[k].channels;
  }
  GraphReader::expect_equal(
      inputs.at("radial"), "channels", graph.stage_at(op.radial).channels, n_radial);
  graph.make_irreps(std::move(out));
}

SpeciesTables species_tables(EdgeTensorProductStage&) { return {}; }

} // namespace eqnn
