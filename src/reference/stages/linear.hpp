// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "base/edge_list.hpp"
#include "model/model_spec.hpp"
#include "reference/value.hpp"

namespace eqnn::reference {

/// out_b[m] = W_b in_b[m], bias on the first component.
Value linear(const LinearStage& stage,
             const EdgeList& edges,
             const Irreps& in,
             const Irreps& out,
             const Value& x);
void linear_adjoint(const LinearStage& stage,
                    const EdgeList& edges,
                    const Irreps& in,
                    const Irreps& out,
                    const Value& adj_out,
                    Value& adj_x);

} // namespace eqnn::reference
