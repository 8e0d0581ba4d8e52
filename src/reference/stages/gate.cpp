// SPDX-License-Identifier: BSD-3-Clause
#include "reference/stages/gate.hpp"

#include "reference/features.hpp"
#include "reference/network.hpp"
#include "reference/scalar_functions.hpp"

namespace eqnn::reference {
namespace {

/// Calls use(block, component of out, component of in, channel) for all channels that a stage
/// gates.
template <class Use>
void for_gated(const GateStage& stage, const GateInputs& inputs, const Use& use) {
  for (const GatedBlock& block : stage.blocks) {
    const std::int32_t to = first_component(inputs.out, block.out);
    const std::int32_t from = first_component(inputs.in, block.in);
    const std::int32_t n = inputs.in[static_cast<std::size_t>(block.in)].components();
    for (std::int32_t m = 0; m < n; ++m) {
      for (std::int32_t c = 0; c < block.channels; ++c) {
        use(block, to + m, from + m, c);
      }
    }
  }
}

GateInputs inputs_of(const GateStage& op, const Network& network) {
  return {network.irreps(op.features),
          network.irreps(op.gates),
          network.out_irreps(),
          network.value(op.features),
          network.value(op.gates)};
}

} // namespace

Value gate(const GateStage& stage, const GateInputs& inputs) {
  const Value& x = inputs.x;
  Value y = features(x.rows, inputs.out);
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for_gated(stage,
              inputs,
              [&](const GatedBlock& block, std::int32_t to, std::int32_t from, std::int32_t c) {
                if (block.gate < 0) {
                  y.at(i, to, c) = activate(block.function, x.at(i, from, c));
                } else {
                  const std::int32_t k = first_component(inputs.of_gates, block.gate);
                  const double g = inputs.gates.at(i, k, block.channel + c);
                  y.at(i, to, c) = x.at(i, from, c) * activate(block.function, g);
                }
              });
  }
  return y;
}

void gate_adjoint(const GateStage& stage,
                  const GateInputs& inputs,
                  const Value& adj_out,
                  Value& adj_x,
                  Value& adj_gates) {
  const Value& x = inputs.x;
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for_gated(stage,
              inputs,
              [&](const GatedBlock& block, std::int32_t to, std::int32_t from, std::int32_t c) {
                const double adjoint = adj_out.at(i, to, c);
                if (block.gate < 0) {
                  adj_x.at(i, from, c) +=
                      adjoint * activation_derivative(block.function, x.at(i, from, c));
                } else {
                  const std::int32_t k = first_component(inputs.of_gates, block.gate);
                  const double g = inputs.gates.at(i, k, block.channel + c);
                  adj_x.at(i, from, c) += adjoint * activate(block.function, g);
                  adj_gates.at(i, k, block.channel + c) +=
                      adjoint * x.at(i, from, c) * activation_derivative(block.function, g);
                }
              });
  }
}

Value forward(const GateStage& op, Network& network) { return gate(op, inputs_of(op, network)); }

void adjoint(const GateStage& op, Network& network) {
  gate_adjoint(op,
               inputs_of(op, network),
               network.adj_out(),
               network.adjoint(op.features),
               network.adjoint(op.gates));
}

} // namespace eqnn::reference
