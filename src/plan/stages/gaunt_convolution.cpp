// SPDX-License-Identifier: BSD-3-Clause
#include "plan/plan_builder.hpp"
#include "so3/coupling.hpp"
#include "so3/spherical_harmonics.hpp"

#include <algorithm>
#include <cstdlib>
#include <map>

namespace eqnn::plan {
namespace {

/// One path for each pair of degrees and each degree of the filter. Paths with the same degree of
/// the filter share its radial channels. couple_gaunt() adds the couplings later: cost() does not
/// need them.
EdgeProduct gaunt_paths(std::int32_t l_source,
                        std::int32_t l_filter,
                        std::int32_t l_out,
                        std::int32_t channels) {
  EdgeProduct product;
  for (std::int32_t l2 = 0; l2 <= l_filter; ++l2) {
    for (std::int32_t l1 = 0; l1 <= l_source; ++l1) {
      for (std::int32_t l3 = std::abs(l1 - l2); l3 <= std::min(l1 + l2, l_out); l3 += 2) {
        product.paths.push_back({l1, l3, channels, l2 * channels, 0, product.entries});
        product.entries += (2 * l1 + 1) * (2 * l3 + 1);
      }
    }
  }
  product.harmonics = sphere_components(l_filter);
  return product;
}

void couple_gaunt(EdgeProduct& product) {
  product.coupling.assign(static_cast<std::size_t>(product.harmonics * product.entries), 0.0);
  for (const Path& path : product.paths) {
    const std::int32_t l1 = path.source;
    const std::int32_t l2 = path.radial / path.channels;
    const std::int32_t l3 = path.out;
    add_coupling(product, path, {l1, l2, l3}, so3::gaunt_factor(l1, l2, l3));
  }
}

/// Adds the product computed in the frame of each edge.
void add_zonal(ZonalProduct zonal,
               const GauntConvolutionStage& op,
               std::int32_t l_filter,
               PlanBuilder& build) {
  const std::int32_t channels = build.stage(op.source).channels;
  build.note_convolution(SphereMethod::Aligned);
  std::map<std::int32_t, std::int32_t> segments;
  for (std::int32_t l = 0; l <= l_filter; ++l) {
    segments[l * channels] = channels;
  }
  std::map<std::int32_t, std::int32_t> offset;
  zonal.radial = build.segmented(build.index(op.radial), segments, offset);
  zonal.source = build.compact(op.source);
  zonal.out = build.output();
  build.need_harmonics(sphere_components(1));
  build.add(std::move(zonal));
}

} // namespace

void lower(const GauntConvolutionStage& op, PlanBuilder& build) {
  const std::int32_t l_source = build.stage(op.source).l_max;
  const std::int32_t l_filter = build.stage(op.harmonics).l_max;
  const std::int32_t l_out = build.current().l_max;
  const std::int32_t channels = build.stage(op.source).channels;
  EdgeProduct paths = gaunt_paths(l_source, l_filter, l_out, channels);
  // A filter of degree 0 has no direction to align with.
  const bool can_align = l_filter > 0 && std::max(l_source, l_out) <= kMostZonalDegree;
  if (can_align && build.options().convolutions != SphereMethod::Sparse) {
    ZonalProduct zonal = zonal_product(l_source, l_filter, l_out);
    if (build.options().convolutions == SphereMethod::Aligned || cost(zonal) < cost(paths)) {
      add_zonal(std::move(zonal), op, l_filter, build);
      return;
    }
  }
  build.note_convolution(SphereMethod::Sparse);
  couple_gaunt(paths);
  add_product(std::move(paths), op.source, op.radial, build);
}

} // namespace eqnn::plan
