// SPDX-License-Identifier: BSD-3-Clause
#include "reference/stages/gate.hpp"

#include "reference/network.hpp"
#include "reference/scalar_functions.hpp"

namespace eqnn::reference {

Value gate(const Value& x, const Value& gates) {
  Value y(x.rows, x.components, x.channels);
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for (std::int32_t c = 0; c < x.channels; ++c) {
      y.at(i, 0, c) = silu(x.at(i, 0, c));
      for (std::int32_t lm = 1; lm < x.components; ++lm) {
        y.at(i, lm, c) = x.at(i, lm, c) * sigmoid(gates.at(i, 0, c));
      }
    }
  }
  return y;
}

void gate_adjoint(
    const Value& x, const Value& gates, const Value& adj_out, Value& adj_x, Value& adj_gates) {
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for (std::int32_t c = 0; c < x.channels; ++c) {
      const double g = sigmoid(gates.at(i, 0, c));
      adj_x.at(i, 0, c) += adj_out.at(i, 0, c) * silu_derivative(x.at(i, 0, c));
      for (std::int32_t lm = 1; lm < x.components; ++lm) {
        adj_x.at(i, lm, c) += adj_out.at(i, lm, c) * g;
        adj_gates.at(i, 0, c) += adj_out.at(i, lm, c) * x.at(i, lm, c) * g * (1.0 - g);
      }
    }
  }
}

Value forward(const GateStage& op, Network& network) {
  return gate(network.value(op.features), network.value(op.gates));
}

void adjoint(const GateStage& op, Network& network) {
  gate_adjoint(network.value(op.features),
               network.value(op.gates),
               network.adj_out(),
               network.adjoint(op.features),
               network.adjoint(op.gates));
}

} // namespace eqnn::reference
