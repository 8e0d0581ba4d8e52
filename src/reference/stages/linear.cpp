// SPDX-License-Identifier: BSD-3-Clause
#include "reference/stages/linear.hpp"

#include "reference/edges.hpp"
#include "reference/features.hpp"
#include "reference/network.hpp"

namespace eqnn::reference {
namespace {

/// Calls use(node, component of out, component of in, channel of out, channel of in, weight).
template <class Use> void for_mixing(const LinearStage& stage,
                                     const EdgeList& edges,
                                     const Irreps& in,
                                     const Irreps& out,
                                     const Use& use) {
  for (std::int64_t i = 0; i < edges.n_centers; ++i) {
    for (const BlockWeight& w : stage.blocks) {
      const std::int64_t n_out = block(out, w.out).channels;
      const std::int64_t n_in = block(in, w.in).channels;
      const std::int64_t begin = stage.per_species ? species_of(edges, i) * n_out * n_in : 0;
      for (std::int32_t m = 0; m < block(out, w.out).components(); ++m) {
        for (std::int32_t o = 0; o < n_out; ++o) {
          for (std::int32_t c = 0; c < n_in; ++c) {
            use(i,
                first_component(out, w.out) + m,
                first_component(in, w.in) + m,
                o,
                c,
                w.weight.values[at(begin + o * n_in + c)]);
          }
        }
      }
    }
  }
}

} // namespace

Value linear(const LinearStage& stage,
             const EdgeList& edges,
             const Irreps& in,
             const Irreps& out,
             const Value& x) {
  Value y = features(edges.n_centers, out);
  for_mixing(stage,
             edges,
             in,
             out,
             [&](std::int64_t i,
                 std::int32_t to,
                 std::int32_t from,
                 std::int32_t o,
                 std::int32_t c,
                 double weight) { y.at(i, to, o) += weight * x.at(i, from, c); });
  if (stage.bias) {
    for (std::int64_t i = 0; i < y.rows; ++i) {
      for (std::int32_t o = 0; o < out.front().channels; ++o) {
        y.at(i, 0, o) += stage.bias->values[at(o)];
      }
    }
  }
  return y;
}

void linear_adjoint(const LinearStage& stage,
                    const EdgeList& edges,
                    const Irreps& in,
                    const Irreps& out,
                    const Value& adj_out,
                    Value& adj_x) {
  for_mixing(stage,
             edges,
             in,
             out,
             [&](std::int64_t i,
                 std::int32_t to,
                 std::int32_t from,
                 std::int32_t o,
                 std::int32_t c,
                 double weight) { adj_x.at(i, from, c) += weight * adj_out.at(i, to, o); });
}

Value forward(const LinearStage& op, Network& network) {
  return linear(op,
                network.edges(),
                network.irreps(op.features),
                network.out_irreps(),
                network.value(op.features));
}

void adjoint(const LinearStage& op, Network& network) {
  linear_adjoint(op,
                 network.edges(),
                 network.irreps(op.features),
                 network.out_irreps(),
                 network.adj_out(),
                 network.adjoint(op.features));
}

} // namespace eqnn::reference
