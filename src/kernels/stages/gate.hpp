// SPDX-License-Identifier: BSD-3-Clause
// l = 0: silu(x), l > 0: x sigmoid(gate).
#pragma once

#include "kernels/context.hpp"
#include "kernels/math.hpp"
#include "plan/stages/gate.hpp"

namespace eqnn::kernels {

template <class S> void gate(const typename S::Exec& space,
                             std::int64_t n_nodes,
                             const Rows<typename S::Scalar>& in,
                             const Rows<typename S::Scalar>& gates,
                             const Rows<typename S::Scalar>& out) {
  for_node_tiles<S>(
      space,
      "eqnn::gate",
      n_nodes,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        for_rows(team, n, [&](std::int64_t r) {
          const auto* const x = in.row(first + r);
          const auto* const g = gates.row(first + r);
          auto* const y = out.row(first + r);
          for_channels(team, in.stride, [&](int c) { y[c] = x[c] * sigmoid(x[c]); });
          if (in.components > 1) {
            // the l = 1 row holds sigmoid(gate) until its own turn, the last
            auto* const opening = y + in.stride;
            for_channels(team, in.stride, [&](int c) { opening[c] = sigmoid(g[c]); });
            for (int k = in.components - 1; k > 0; --k) {
              for_channels(team, in.stride, [&](int c) {
                y[k * in.stride + c] = x[k * in.stride + c] * opening[c];
              });
            }
          }
        });
      });
}

template <class S> void gate_adjoint(const typename S::Exec& space,
                                     std::int64_t n_nodes,
                                     const AdjointRows<typename S::Scalar>& of_features,
                                     const AdjointRows<typename S::Scalar>& of_gates) {
  using Scalar = typename S::Scalar;
  const bool keep_in = of_features.keep();
  const bool keep_gates = of_gates.keep();
  const Rows<Scalar> in = of_features.in;
  const Rows<Scalar> gates = of_gates.in;
  const Rows<Scalar> adj_out = of_features.adj_out;
  const Rows<Scalar> adj_in = of_features.adj_in;
  const Rows<Scalar> adj_gates = of_gates.adj_in;
  for_node_tiles<S>(
      space,
      "eqnn::gate_adjoint",
      n_nodes,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        for_rows(team, n, [&](std::int64_t r) {
          const Scalar* const x = in.row(first + r);
          const Scalar* const g = gates.row(first + r);
          const Scalar* const adj_y = adj_out.row(first + r);
          Scalar* const adj_x = adj_in.row(first + r);
          Scalar* const adj_g = adj_gates.row(first + r);
          for_channels(team, in.stride, [&](int c) {
            const Scalar s = sigmoid(x[c]);
            const Scalar opening = sigmoid(g[c]);
            adj_x[c] = (keep_in ? adj_x[c] : Scalar(0)) + adj_y[c] * silu_derivative(x[c], s);
            Scalar sum = 0;
            for (int k = 1; k < in.components; ++k) {
              sum += adj_y[k * in.stride + c] * x[k * in.stride + c];
              adj_x[k * in.stride + c] = (keep_in ? adj_x[k * in.stride + c] : Scalar(0)) +
                                         adj_y[k * in.stride + c] * opening;
            }
            adj_g[c] = (keep_gates ? adj_g[c] : Scalar(0)) + sum * opening * (Scalar(1) - opening);
          });
        });
      });
}

template <class S> struct GateStage {
  using Scalar = typename S::Scalar;

  plan::Gate op;

  GateStage(plan::Gate host, DeviceTables<S>& tables)
      : op(std::move(host)) {
    static_cast<void>(tables);
  }

  /// Scalars of a message that waits for its source; 0: none does.
  std::int32_t message_width([[maybe_unused]] const DeviceTables<S>& tables) const { return 0; }

  void forward(const Context<S>& at) const {
    gate<S>(
        at.space(), at.n_centers(), at.value(op.features), at.value(op.gates), at.value(op.out));
  }

  void adjoint(const Context<S>& at) const {
    gate_adjoint<S>(at.space(),
                    at.n_centers(),
                    at.adjoint_rows(op.features, op.out),
                    at.adjoint_rows(op.gates, op.out));
  }
};

} // namespace eqnn::kernels
