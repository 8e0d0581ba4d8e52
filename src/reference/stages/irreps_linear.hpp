// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "base/edge_list.hpp"
#include "model/model_spec.hpp"
#include "reference/value.hpp"

namespace eqnn::reference {

Value irreps_linear(const IrrepsLinearStage& stage,
                    const EdgeList& edges,
                    const Irreps& in,
                    const Irreps& out,
                    const Value& x);
void irreps_linear_adjoint(const IrrepsLinearStage& stage,
                           const EdgeList& edges,
                           const Irreps& in,
                           const Irreps& out,
                           const Value& adj_out,
                           Value& adj_x);

} // namespace eqnn::reference
