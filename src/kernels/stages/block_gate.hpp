// SPDX-License-Identifier: BSD-3-Clause
// y = f(x), or y = x f(gate), block by block.
#pragma once

#include "kernels/context.hpp"
#include "kernels/math.hpp"
#include "plan/stages/block_gate.hpp"

namespace eqnn::kernels {

template <class T> KOKKOS_FORCEINLINE_FUNCTION T activate(std::int32_t function, T x) {
  const T s = sigmoid(function == plan::kTanh ? T(2) * x : x);
  switch (function) {
  case plan::kSilu:
    return x * s;
  case plan::kTanh:
    return T(2) * s - T(1);
  case plan::kSigmoid:
    return s;
  default:
    return x;
  }
}

template <class T> KOKKOS_FORCEINLINE_FUNCTION T activation_slope(std::int32_t function, T x) {
  const T s = sigmoid(function == plan::kTanh ? T(2) * x : x);
  switch (function) {
  case plan::kSilu:
    return silu_derivative(x, s);
  case plan::kTanh:
    return T(4) * s * (T(1) - s);
  case plan::kSigmoid:
    return s * (T(1) - s);
  default:
    return T(1);
  }
}

/// What one call gates: rows of a block, and the channels that gate them (none: scalars).
template <class Scalar> struct GateRows {
  Rows<Scalar> in, out;
  Rows<Scalar> gate; ///< data at the first channel; null: none
  std::int32_t channels = 0;
  std::int32_t function = 0;
};

template <class S> void block_gate(const typename S::Exec& space,
                                   std::int64_t n_nodes,
                                   const GateRows<typename S::Scalar>& rows) {
  using Scalar = typename S::Scalar;
  const bool is_scalar = rows.gate.data == nullptr;
  for_node_tiles<S>(
      space,
      "eqnn::block_gate",
      n_nodes,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        for_rows(team, n, [&](std::int64_t r) {
          const Scalar* const g = is_scalar ? rows.in.row(first + r) : rows.gate.row(first + r);
          for (int m = 0; m < rows.out.components; ++m) {
            const Scalar* const x = rows.in.row(first + r) + m * rows.in.stride;
            Scalar* const y = rows.out.row(first + r) + m * rows.out.stride;
            for_channels(team, rows.channels, [&](int c) {
              y[c] = activate(rows.function, g[c]) * (is_scalar ? Scalar(1) : x[c]);
            });
            for_channels(
                team, rows.out.stride - rows.channels, [&](int c) { y[rows.channels + c] = 0; });
          }
        });
      });
}

/// adj_in and adj_gate are added to.
template <class S> void block_gate_adjoint(const typename S::Exec& space,
                                           std::int64_t n_nodes,
                                           const GateRows<typename S::Scalar>& rows,
                                           const Rows<typename S::Scalar>& adj_out,
                                           const Rows<typename S::Scalar>& adj_in,
                                           const Rows<typename S::Scalar>& adj_gate) {
  using Scalar = typename S::Scalar;
  const bool is_scalar = rows.gate.data == nullptr;
  for_node_tiles<S>(
      space,
      "eqnn::block_gate_adjoint",
      n_nodes,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        for_rows(team, n, [&](std::int64_t r) {
          const Scalar* const x = rows.in.row(first + r);
          const Scalar* const adj_y = adj_out.row(first + r);
          Scalar* const adj_x = adj_in.row(first + r);
          if (is_scalar) {
            for_channels(team, rows.channels, [&](int c) {
              adj_x[c] += adj_y[c] * activation_slope(rows.function, x[c]);
            });
            return;
          }
          const Scalar* const g = rows.gate.row(first + r);
          Scalar* const adj_g = adj_gate.row(first + r);
          for_channels(team, rows.channels, [&](int c) {
            const Scalar opening = activate(rows.function, g[c]);
            Scalar along = 0;
            for (int m = 0; m < rows.out.components; ++m) {
              const Scalar adjoint = adj_y[m * rows.out.stride + c];
              along += adjoint * x[m * rows.in.stride + c];
              adj_x[m * rows.in.stride + c] += adjoint * opening;
            }
            adj_g[c] += along * activation_slope(rows.function, g[c]);
          });
        });
      });
}

template <class S> struct BlockGateStage {
  using Scalar = typename S::Scalar;

  plan::BlockGate op;

  BlockGateStage(plan::BlockGate host, DeviceTables<S>& tables)
      : op(std::move(host)) {
    static_cast<void>(tables);
  }

  /// Scalars of a message that waits for its source; 0: none does.
  std::int32_t message_width([[maybe_unused]] const DeviceTables<S>& tables) const { return 0; }

  void forward(const Context<S>& at) const {
    for (const plan::GateRow& row : op.rows) {
      block_gate<S>(at.space(), at.n_centers(), gate_rows(row, at));
    }
  }

  void adjoint(const Context<S>& at) const {
    if (op.in.adjoint == plan::Write::Overwrite) {
      clear<S>(at.space(), at.adjoint(op.in), 0, at.n_centers());
    }
    for (const plan::GateRow& row : op.rows) {
      block_gate_adjoint<S>(at.space(),
                            at.n_centers(),
                            gate_rows(row, at),
                            at.adjoint_blocks(op.out, row.out),
                            at.adjoint_blocks(op.in.value, row.in),
                            gates_of(row, at, true));
    }
  }

private:
  /// The gates of a row, of the value or of its adjoint.
  Rows<Scalar> gates_of(const plan::GateRow& row, const Context<S>& at, bool of_adjoint) const {
    if (row.gate < 0) {
      return {};
    }
    Rows<Scalar> gates = of_adjoint ? at.adjoint_blocks(op.in.value, row.gate)
                                    : at.value_blocks(op.in.value, row.gate);
    gates.data += row.channel;
    return gates;
  }

  GateRows<Scalar> gate_rows(const plan::GateRow& row, const Context<S>& at) const {
    return {at.value_blocks(op.in.value, row.in),
            at.value_blocks(op.out, row.out),
            gates_of(row, at, false),
            row.channels,
            row.function};
  }
};

} // namespace eqnn::kernels
