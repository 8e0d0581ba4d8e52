// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "base/edge_list.hpp"
#include "model/model_spec.hpp"
#include "reference/value.hpp"

#include <vector>

namespace eqnn::reference {

/// Values of the four inputs, or their adjoints.
template <class V> struct AttentionInputs {
  V &source, &center, &matrix, &radial;
};

/// [n_edges] logarithm of the envelope, -infinity at the cutoff; or its adjoint. Empty without an
/// envelope.
using LogEnvelope = std::vector<double>;

Value edge_attention(const EdgeAttentionStage& stage,
                     const EdgeList& edges,
                     const LogEnvelope& envelope,
                     const AttentionInputs<const Value>& in);
/// Adds to `adjoints`. Returns the adjoint of the logarithm of the envelope [n_edges].
LogEnvelope edge_attention_adjoint(const EdgeAttentionStage& stage,
                                   const EdgeList& edges,
                                   const LogEnvelope& envelope,
                                   const AttentionInputs<const Value>& in,
                                   const Value& adj_out,
                                   const AttentionInputs<Value>& adjoints);

} // namespace eqnn::reference
