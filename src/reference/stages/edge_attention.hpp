// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "base/edge_list.hpp"
#include "model/model_spec.hpp"
#include "reference/value.hpp"

namespace eqnn::reference {

/// Values of the four inputs, or their adjoints.
template <class V> struct AttentionInputs {
  V &source, &center, &matrix, &radial;
};

Value edge_attention(const EdgeAttentionStage& stage,
                     const EdgeList& edges,
                     const AttentionInputs<const Value>& in);
void edge_attention_adjoint(const EdgeAttentionStage& stage,
                            const EdgeList& edges,
                            const AttentionInputs<const Value>& in,
                            const Value& adj_out,
                            const AttentionInputs<Value>& adjoints);

} // namespace eqnn::reference
