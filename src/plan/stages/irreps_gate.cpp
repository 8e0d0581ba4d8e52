// SPDX-License-Identifier: BSD-3-Clause
#include "plan/plan_builder.hpp"

namespace eqnn::plan {
namespace {

std::int32_t function_of(Activation activation) {
  switch (activation) {
  case Activation::Silu:
    return kSilu;
  case Activation::Tanh:
    return kTanh;
  case Activation::Sigmoid:
    return kSigmoid;
  case Activation::None:
    break;
  }
  return kIdentity;
}

} // namespace

void lower(const IrrepsGateStage& op, PlanBuilder& build) {
  const Irreps& in = build.stage(op.features).irreps;
  const Irreps& out = build.current().irreps;
  BlockGate gate;
  gate.in = build.input(op.features);
  gate.out = build.output();
  for (const bool odd : {false, true}) {
    const std::int32_t n = odd ? op.odd_scalars : op.even_scalars;
    if (n > 0) {
      gate.rows.push_back({find_block(in, {0, odd, 0}),
                           find_block(out, {0, odd, 0}),
                           -1,
                           0,
                           n,
                           function_of(odd ? op.odd_activation : op.even_activation)});
    }
  }
  std::int32_t channel = op.odd_gates ? op.odd_scalars : op.even_scalars;
  for (std::size_t b = 0; b < in.size(); ++b) {
    if (in[b].l > 0) {
      gate.rows.push_back({static_cast<std::int32_t>(b),
                           find_block(out, {in[b].l, in[b].odd != op.odd_gates, 0}),
                           find_block(in, {0, op.odd_gates, 0}),
                           channel,
                           in[b].channels,
                           function_of(op.gate_activation)});
      channel += in[b].channels;
    }
  }
  build.add(std::move(gate));
}

} // namespace eqnn::plan
