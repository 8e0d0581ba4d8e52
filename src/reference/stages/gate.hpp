// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "base/edge_list.hpp"
#include "model/model_spec.hpp"
#include "reference/value.hpp"

namespace eqnn::reference {

/// l = 0: silu(x), l > 0: x sigmoid(gate)
Value gate(const Value& x, const Value& gates);
void gate_adjoint(
    const Value& x, const Value& gates, const Value& adj_out, Value& adj_x, Value& adj_gates);

} // namespace eqnn::reference
