// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "base/edge_list.hpp"
#include "model/model_spec.hpp"
#include "reference/value.hpp"

namespace eqnn::reference {

Value degree_embedding(const DegreeEmbeddingStage& stage,
                       const EdgeList& edges,
                       const Value& matrix,
                       const Value& radial);

/// The adjoints of the inputs, to which degree_embedding_adjoint() adds.
struct DegreeAdjoints {
  Value &matrix, &radial;
};

void degree_embedding_adjoint(const DegreeEmbeddingStage& stage,
                              const EdgeList& edges,
                              const Value& matrix,
                              const Value& radial,
                              const Value& adj_out,
                              const DegreeAdjoints& adjoints);

} // namespace eqnn::reference
