// SPDX-License-Identifier: BSD-3-Clause
#include "reference/stages/symmetric_contraction.hpp"

#include "reference/edges.hpp"
#include "reference/features.hpp"
#include "reference/network.hpp"

namespace eqnn::reference {
namespace {

/// Calls use(node, component of the output, channel, term, row, coefficient).
template <class Use> void for_terms(const SymmetricContractionStage& stage,
                                    const EdgeList& edges,
                                    const Irreps& out,
                                    const Use& use) {
  for (const ContractionTerm& term : stage.terms) {
    const std::int64_t n_weights = term.weights.shape[1];
    const auto channels = static_cast<std::int32_t>(term.weights.shape[2]);
    for (std::size_t row = 0; row < term.indices.size(); ++row) {
      const auto& index = term.indices[row];
      for (std::int64_t i = 0; i < edges.n_centers; ++i) {
        for (std::int32_t c = 0; c < channels; ++c) {
          const std::int64_t weight = (species_of(edges, i) * n_weights + index[1]) * channels + c;
          use(i,
              first_component(out, term.block) + index[0],
              c,
              term.nu,
              index.data() + 2,
              term.values.values[row] * term.weights.values[at(weight)]);
        }
      }
    }
  }
}

} // namespace

Value symmetric_contraction(const SymmetricContractionStage& stage,
                            const EdgeList& edges,
                            const Irreps& out,
                            const Value& x) {
  Value y = features(edges.n_centers, out);
  for_terms(stage,
            edges,
            out,
            [&](std::int64_t i,
                std::int32_t to,
                std::int32_t c,
                std::int32_t nu,
                const std::int32_t* factors,
                double product) {
              for (std::int32_t f = 0; f < nu; ++f) {
                product *= x.at(i, factors[f], c);
              }
              y.at(i, to, c) += product;
            });
  return y;
}

void symmetric_contraction_adjoint(const SymmetricContractionStage& stage,
                                   const EdgeList& edges,
                                   const Irreps& out,
                                   const Value& x,
                                   const Value& adj_out,
                                   Value& adj_x) {
  for_terms(stage,
            edges,
            out,
            [&](std::int64_t i,
                std::int32_t to,
                std::int32_t c,
                std::int32_t nu,
                const std::int32_t* factors,
                double coefficient) {
              for (std::int32_t of = 0; of < nu; ++of) {
                double product = coefficient * adj_out.at(i, to, c);
                for (std::int32_t f = 0; f < nu; ++f) {
                  product *= f == of ? 1.0 : x.at(i, factors[f], c);
                }
                adj_x.at(i, factors[of], c) += product;
              }
            });
}

Value forward(const SymmetricContractionStage& op, Network& network) {
  return symmetric_contraction(
      op, network.edges(), network.out_irreps(), network.value(op.features));
}

void adjoint(const SymmetricContractionStage& op, Network& network) {
  symmetric_contraction_adjoint(op,
                                network.edges(),
                                network.out_irreps(),
                                network.value(op.features),
                                network.adj_out(),
                                network.adjoint(op.features));
}

} // namespace eqnn::reference
