// SPDX-License-Identifier: BSD-3-Clause
#include "plan/stages/edge_product.hpp"

#include "plan/plan_builder.hpp"
#include "so3/coupling.hpp"

#include <algorithm>
#include <map>

namespace eqnn::plan {

namespace {

/// Reserves room for the padded channels of every path, because a SIMD loop may write beyond the
/// end of a path.
void reserve(std::vector<Block>& blocks, const std::vector<Path>& paths, std::int32_t multiple) {
  for (const Path& path : paths) {
    Block& block = blocks[static_cast<std::size_t>(path.out)];
    block.reserved = std::max(block.reserved, path.channel + padded(path.channels, multiple));
  }
}

/// Measured fraction of the machine's peak.
constexpr double kPathRate = 0.45;

} // namespace

std::string EdgeProduct::describe(const ValueNames& names) const {
  return names.out(out) + "edge product of " + names.in(source) + ", radial " +
         std::to_string(radial) + ", " + std::to_string(paths.size()) + " paths";
}

Couplings
couplings_of(const std::vector<TensorProductPath>& paths, const Irreps& source, const Irreps& out) {
  Couplings found;
  std::int32_t l_max = 0;
  for (const TensorProductPath& p : paths) {
    const IrrepsBlock& from = source[static_cast<std::size_t>(p.source)];
    const IrrepsBlock& to = out[static_cast<std::size_t>(p.out)];
    found.paths.push_back({p.source, p.out, p.channels, p.radial, p.channel, found.entries});
    found.entries += from.components() * to.components();
    l_max = std::max(l_max, p.l);
  }
  found.harmonics = sphere_components(l_max);
  found.coupling.assign(static_cast<std::size_t>(found.harmonics * found.entries), 0.0);
  for (std::size_t k = 0; k < paths.size(); ++k) {
    add_coupling(found,
                 found.paths[k],
                 {source[static_cast<std::size_t>(paths[k].source)].l,
                  paths[k].l,
                  out[static_cast<std::size_t>(paths[k].out)].l},
                 1.0);
  }
  return found;
}

void add_coupling(Couplings& product,
                  const Path& path,
                  const std::array<std::int32_t, 3>& degrees,
                  double scale) {
  const auto& [l1, l2, l3] = degrees;
  const std::vector<double> w3j = so3::wigner_3j(l1, l2, l3);
  const std::int32_t d2 = 2 * l2 + 1;
  const std::int32_t d3 = 2 * l3 + 1;
  for (std::int32_t m1 = 0; m1 < 2 * l1 + 1; ++m1) {
    for (std::int32_t m2 = 0; m2 < d2; ++m2) {
      for (std::int32_t m3 = 0; m3 < d3; ++m3) {
        const std::int32_t entry = path.entry + m1 * d3 + m3;
        product.coupling[static_cast<std::size_t>((l2 * l2 + m2) * product.entries + entry)] +=
            scale * w3j[static_cast<std::size_t>((m1 * d2 + m2) * d3 + m3)];
      }
    }
  }
}

void add_product(EdgeProduct product, StageIndex source, StageIndex radial, PlanBuilder& build) {
  std::map<std::int32_t, std::int32_t> segments;
  for (const Path& path : product.paths) {
    segments[path.radial] = path.channels;
  }
  std::map<std::int32_t, std::int32_t> offset;
  product.radial = build.segmented(build.index(radial), segments, offset);
  for (Path& path : product.paths) {
    path.radial = offset.at(path.radial);
  }
  product.source = build.input(source);
  std::vector<Block> blocks = PlanBuilder::blocks_of(build.current().irreps);
  reserve(blocks, product.paths, build.options().channel_multiple);
  build.need_harmonics(product.harmonics);
  product.out = build.output(blocks);
  build.add(std::move(product));
}

double cost(const EdgeProduct& product) { return 3.0 * product.entries / kPathRate; }

} // namespace eqnn::plan
