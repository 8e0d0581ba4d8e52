// SPDX-License-Identifier: BSD-3-Clause
#include "reference/couplings.hpp"
#include "reference/edges.hpp"
#include "reference/features.hpp"
#include "reference/network.hpp"

namespace eqnn::reference {
/// out_i[m3,c] = sum_e w_e[c] sum w3j[m1,m2,m3] source_j[m1,c] Y_m2
Value forward(const EdgeTensorProductStage& stage, Network& network) {
  const EdgeList& edges = network.edges();
  const Irreps& in = network.irreps(stage.source);
  const Irreps& out = network.out_irreps();
  const Value& source = network.value(stage.source);
  const Value& harmonics = network.value(stage.harmonics);
  const Value& radial = network.value(stage.radial);
  Value y = features(edges.n_centers, out);
  for (const TensorProductPath& p : stage.paths) {
    for_coupling(
        p, in, out, [&](std::int32_t k1, std::int32_t k2, std::int32_t k3, double coefficient) {
          for_edges(edges, [&](std::int32_t i, std::int64_t e) {
            const double factor = coefficient * harmonics.at(e, k2, 0);
            for (std::int32_t c = 0; c < p.channels; ++c) {
              y.at(i, k3, p.channel + c) +=
                  factor * radial.at(e, 0, p.radial + c) * source.at(edges.source[at(e)], k1, c);
            }
          });
        });
  }
  return y;
}

void adjoint(const EdgeTensorProductStage& stage, Network& network) {
  const EdgeList& edges = network.edges();
  const Irreps& in = network.irreps(stage.source);
  const Irreps& out = network.out_irreps();
  const Value& source = network.value(stage.source);
  const Value& harmonics = network.value(stage.harmonics);
  const Value& radial = network.value(stage.radial);
  const Value& adj_out = network.adj_out();
  Value& adj_source = network.adjoint(stage.source);
  Value& adj_harmonics = network.adjoint(stage.harmonics);
  Value& adj_radial = network.adjoint(stage.radial);
  for (const TensorProductPath& p : stage.paths) {
    for_coupling(
        p, in, out, [&](std::int32_t k1, std::int32_t k2, std::int32_t k3, double coefficient) {
          for_edges(edges, [&](std::int32_t i, std::int64_t e) {
            const std::int32_t j = edges.source[at(e)];
            const double y = harmonics.at(e, k2, 0);
            for (std::int32_t c = 0; c < p.channels; ++c) {
              const double adjoint = coefficient * adj_out.at(i, k3, p.channel + c);
              const double w = radial.at(e, 0, p.radial + c);
              const double x = source.at(j, k1, c);
              adj_source.at(j, k1, c) += adjoint * w * y;
              adj_harmonics.at(e, k2, 0) += adjoint * w * x;
              adj_radial.at(e, 0, p.radial + c) += adjoint * y * x;
            }
          });
        });
  }
}

} // namespace eqnn::reference
