// SPDX-License-Identifier: BSD-3-Clause
#include "plan/plan_builder.hpp"

#include <algorithm>

namespace eqnn::plan {

void lower(const EdgeTensorProductStage& op, PlanBuilder& build) {
  const Irreps& source = build.stage(op.source).irreps;
  const Irreps& out = build.current().irreps;
  EdgeProduct product;
  std::int32_t l_max = 0;
  for (const TensorProductPath& p : op.paths) {
    const IrrepsBlock& from = source[static_cast<std::size_t>(p.source)];
    const IrrepsBlock& to = out[static_cast<std::size_t>(p.out)];
    product.paths.push_back({p.source, p.out, from.channels, p.radial, p.channel, product.entries});
    product.entries += from.components() * to.components();
    l_max = std::max(l_max, p.l);
  }
  product.harmonics = sphere_components(l_max);
  product.coupling.assign(static_cast<std::size_t>(product.harmonics * product.entries), 0.0);
  for (std::size_t k = 0; k < op.paths.size(); ++k) {
    add_coupling(product,
                 product.paths[k],
                 {source[static_cast<std::size_t>(op.paths[k].source)].l,
                  op.paths[k].l,
                  out[static_cast<std::size_t>(op.paths[k].out)].l},
                 1.0);
  }
  add_product(std::move(product), op.source, op.radial, build);
}

} // namespace eqnn::plan
