// SPDX-License-Identifier: BSD-3-Clause
#include "reference/stages/irreps_gate.hpp"

#include "reference/features.hpp"
#include "reference/network.hpp"
#include "reference/scalar_functions.hpp"

namespace eqnn::reference {
namespace {

/// Calls scalar(component, channel, function) for scalars that pass, and
/// gated(component of out, of in, channel, component and channel of the gate) for the rest.
template <class Scalar, class Gated> void for_gates(const IrrepsGateStage& stage,
                                                    const Irreps& in,
                                                    const Irreps& out,
                                                    const Scalar& scalar,
                                                    const Gated& gated) {
  for (const bool odd : {false, true}) {
    const std::int32_t n = odd ? stage.odd_scalars : stage.even_scalars;
    if (n > 0) {
      const std::int32_t to = first_component(out, find_block(out, {0, odd, 0}));
      const std::int32_t from = first_component(in, find_block(in, {0, odd, 0}));
      for (std::int32_t c = 0; c < n; ++c) {
        scalar(to, from, c, odd ? stage.odd_activation : stage.even_activation);
      }
    }
  }
  std::int32_t gate = stage.odd_gates ? stage.odd_scalars : stage.even_scalars;
  const std::int32_t gates = find_block(in, {0, stage.odd_gates, 0});
  for (std::size_t b = 0; b < in.size(); ++b) {
    if (in[b].l == 0) {
      continue;
    }
    const std::int32_t to = find_block(out, {in[b].l, in[b].odd != stage.odd_gates, 0});
    for (std::int32_t c = 0; c < in[b].channels; ++c, ++gate) {
      for (std::int32_t m = 0; m < in[b].components(); ++m) {
        gated(first_component(out, to) + m,
              first_component(in, static_cast<std::int32_t>(b)) + m,
              c,
              first_component(in, gates),
              gate);
      }
    }
  }
}

} // namespace

Value irreps_gate(const IrrepsGateStage& stage,
                  const Irreps& in,
                  const Irreps& out,
                  const Value& x) {
  Value y = features(x.rows, out);
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for_gates(
        stage,
        in,
        out,
        [&](std::int32_t to, std::int32_t from, std::int32_t c, Activation function) {
          y.at(i, to, c) = activate(function, x.at(i, from, c));
        },
        [&](std::int32_t to, std::int32_t from, std::int32_t c, std::int32_t k, std::int32_t g) {
          y.at(i, to, c) = x.at(i, from, c) * activate(stage.gate_activation, x.at(i, k, g));
        });
  }
  return y;
}

void irreps_gate_adjoint(const IrrepsGateStage& stage,
                         const Irreps& in,
                         const Irreps& out,
                         const Value& x,
                         const Value& adj_out,
                         Value& adj_x) {
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for_gates(
        stage,
        in,
        out,
        [&](std::int32_t to, std::int32_t from, std::int32_t c, Activation function) {
          adj_x.at(i, from, c) +=
              adj_out.at(i, to, c) * activation_derivative(function, x.at(i, from, c));
        },
        [&](std::int32_t to, std::int32_t from, std::int32_t c, std::int32_t k, std::int32_t g) {
          const double gate = x.at(i, k, g);
          adj_x.at(i, from, c) += adj_out.at(i, to, c) * activate(stage.gate_activation, gate);
          adj_x.at(i, k, g) += adj_out.at(i, to, c) * x.at(i, from, c) *
                               activation_derivative(stage.gate_activation, gate);
        });
  }
}

Value forward(const IrrepsGateStage& op, Network& network) {
  return irreps_gate(
      op, network.irreps(op.features), network.out_irreps(), network.value(op.features));
}

void adjoint(const IrrepsGateStage& op, Network& network) {
  irreps_gate_adjoint(op,
                      network.irreps(op.features),
                      network.out_irreps(),
                      network.value(op.features),
                      network.adj_out(),
                      network.adjoint(op.features));
}

} // namespace eqnn::reference
