// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "base/edge_list.hpp"
#include "model/model_spec.hpp"
#include "reference/value.hpp"

namespace eqnn::reference {

/// y[lm] = W x[lm], bias on l = 0
Value linear(const LinearStage& stage, const Value& x);
void linear_adjoint(const LinearStage& stage, const Value& adj_out, Value& adj_x);

} // namespace eqnn::reference
