// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "base/edge_list.hpp"
#include "model/model_spec.hpp"
#include "reference/value.hpp"

namespace eqnn::reference {

Value symmetric_contraction(const SymmetricContractionStage& stage,
                            const EdgeList& edges,
                            const Irreps& out,
                            const Value& x);
void symmetric_contraction_adjoint(const SymmetricContractionStage& stage,
                                   const EdgeList& edges,
                                   const Irreps& out,
                                   const Value& x,
                                   const Value& adj_out,
                                   Value& adj_x);

} // namespace eqnn::reference
