// SPDX-License-Identifier: BSD-3-Clause
#include "plan/stages/edge_network_product.hpp"

#include "plan/functions.hpp"
#include "plan/matrix.hpp"
#include "plan/plan_builder.hpp"

namespace eqnn::plan {

std::string EdgeNetworkProduct::describe(const ValueNames& names) const {
  return names.out(out) + "edge network product of source " + names.in(source) + ", center " +
         names.in(center) + ", radial " + std::to_string(radial) + ", " +
         std::to_string(paths.size()) + " paths, " + std::to_string(layers.size()) + " layers" +
         (envelope > 0.0 ? ", with an envelope" : "");
}

void lower(const EdgeNetworkProductStage& op, PlanBuilder& build) {
  EdgeNetworkProduct product;
  const Irreps& source = build.stage(op.source).irreps;
  static_cast<Couplings&>(product) = couplings_of(op.paths, source, build.current().irreps);
  product.source = build.input(op.source);
  product.center = build.input(op.center);
  product.radial = build.index(op.radial);
  product.scalars = op.scalars;
  product.first_scalar = source.front().channels - op.scalars;
  product.function = function_of(op.activation);
  for (const MlpLayer& layer : op.layers) {
    NetworkLayer dense;
    dense.n_out = static_cast<std::int32_t>(layer.weight.shape[0]);
    dense.n_in = static_cast<std::int32_t>(layer.weight.shape[1]);
    dense.weight = transposed(layer.weight.values, dense.n_out, dense.n_in);
    dense.bias = layer.bias ? layer.bias->values
                            : std::vector<double>(static_cast<std::size_t>(dense.n_out), 0.0);
    dense.function = function_of(layer.activation);
    product.layers.push_back(std::move(dense));
  }
  product.envelope = op.envelope;
  product.cutoff = build.model().cutoff;
  build.need_harmonics(product.harmonics);
  product.out = build.output();
  build.add(std::move(product));
}

} // namespace eqnn::plan
