// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "base/edge_list.hpp"
#include "model/model_spec.hpp"
#include "reference/value.hpp"

namespace eqnn::reference {

Value readout(const ReadoutStage& stage, const Value& x);
void readout_adjoint(const ReadoutStage& stage, const Value& x, const Value& adj_out, Value& adj_x);

} // namespace eqnn::reference
