// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/model_spec.hpp"
#include "reference/value.hpp"

namespace eqnn::reference {

/// Inputs of a gate: irreps of features, gates and output, and the values of features and gates.
struct GateInputs {
  const Irreps &in, &of_gates, &out;
  const Value &x, &gates;
};

/// y = f(x) for scalars, y = x f(gate) for the rest.
Value gate(const GateStage& stage, const GateInputs& inputs);
void gate_adjoint(const GateStage& stage,
                  const GateInputs& inputs,
                  const Value& adj_out,
                  Value& adj_x,
                  Value& adj_gates);

} // namespace eqnn::reference
