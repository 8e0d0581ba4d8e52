// SPDX-License-Identifier: BSD-3-Clause
#include "reference/stages/degree_embedding.hpp"

#include "reference/edges.hpp"
#include "reference/network.hpp"

namespace eqnn::reference {

Value degree_embedding(const DegreeEmbeddingStage& stage,
                       const EdgeList& edges,
                       const Value& matrix,
                       const Value& radial) {
  const auto n_out = static_cast<std::int32_t>(stage.weight.shape[0]);
  Value out(edges.n_centers, matrix.components, n_out);
  for (std::int32_t i = 0; i < edges.n_centers; ++i) {
    for (std::int64_t e = edges.begin[static_cast<std::size_t>(i)];
         e < edges.begin[static_cast<std::size_t>(i) + 1];
         ++e) {
      for (std::int32_t o = 0; o < n_out; ++o) {
        double mixed = 0.0;
        for (std::int32_t c = 0; c < radial.channels; ++c) {
          mixed += weight_at(stage.weight, o, c) * radial.at(e, 0, c);
        }
        for (std::int32_t k = 0; k < matrix.components; ++k) {
          out.at(i, k, o) += matrix.at(e, k, 0) * mixed;
        }
        out.at(i, 0, o) += bias_at(stage.bias, o);
      }
    }
  }
  return out;
}

void degree_embedding_adjoint(const DegreeEmbeddingStage& stage,
                              const EdgeList& edges,
                              const Value& matrix,
                              const Value& radial,
                              const Value& adj_out,
                              const DegreeAdjoints& adjoints) {
  const auto n_out = static_cast<std::int32_t>(stage.weight.shape[0]);
  for (std::int32_t i = 0; i < edges.n_centers; ++i) {
    for (std::int64_t e = edges.begin[static_cast<std::size_t>(i)];
         e < edges.begin[static_cast<std::size_t>(i) + 1];
         ++e) {
      for (std::int32_t o = 0; o < n_out; ++o) {
        for (std::int32_t k = 0; k < matrix.components; ++k) {
          for (std::int32_t c = 0; c < radial.channels; ++c) {
            const double product = weight_at(stage.weight, o, c) * adj_out.at(i, k, o);
            adjoints.matrix.at(e, k, 0) += product * radial.at(e, 0, c);
            adjoints.radial.at(e, 0, c) += product * matrix.at(e, k, 0);
          }
        }
      }
    }
  }
}

Value forward(const DegreeEmbeddingStage& op, Network& network) {
  return degree_embedding(op, network.edges(), network.value(op.matrix), network.value(op.radial));
}

void adjoint(const DegreeEmbeddingStage& op, Network& network) {
  degree_embedding_adjoint(op,
                           network.edges(),
                           network.value(op.matrix),
                           network.value(op.radial),
                           network.adj_out(),
                           {network.adjoint(op.matrix), network.adjoint(op.radial)});
}

} // namespace eqnn::reference
