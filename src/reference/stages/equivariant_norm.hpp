// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "base/edge_list.hpp"
#include "model/model_spec.hpp"
#include "reference/value.hpp"

namespace eqnn::reference {

Value equivariant_norm(const EquivariantNormStage& stage, const Value& x);
void equivariant_norm_adjoint(const EquivariantNormStage& stage,
                              const Value& x,
                              const Value& adj_out,
                              Value& adj_x);

} // namespace eqnn::reference
