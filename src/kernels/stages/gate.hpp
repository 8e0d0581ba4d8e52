// SPDX-License-Identifier: BSD-3-Clause
// y = f(x), or y = x f(gate), block by block.
#pragma once

#include "kernels/context.hpp"
#include "kernels/math.hpp"
#include "plan/stages/gate.hpp"

namespace eqnn::kernels {

/// Operands of one call: rows of blocks, and the channels that gate them (none for scalars).
template <class Scalar> struct GateRows {
  Rows<Scalar> in, out;
  Rows<Scalar> gate; ///< data at the first channel; null: none
  std::int32_t channels = 0;
  std::int32_t function = 0;
};

template <class S> void gate(const typename S::Exec& space,
                             std::int64_t n_nodes,
                             const GateRows<typename S::Scalar>& rows) {
  using Scalar = typename S::Scalar;
  const bool is_scalar = rows.gate.data == nullptr;
  for_node_tiles<S>(
      space,
      "eqnn::gate",
      n_nodes,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        for_rows(team, n, [&](std::int64_t r) {
          const Scalar* const x = rows.in.row(first + r);
          Scalar* const y = rows.out.row(first + r);
          // The last row holds the gate until it is computed itself.
          const int last = rows.out.components - 1;
          Scalar* const opening = y + last * rows.out.stride;
          const Scalar* const g = is_scalar ? x : rows.gate.row(first + r);
          for_function(rows.function, [&](auto function) {
            for_channels(team, rows.channels, [&](int c) {
              opening[c] = activation_at<decltype(function)::value>(g[c]).value;
            });
          });
          for (int m = 0; m < last; ++m) {
            for_channels(team, rows.channels, [&](int c) {
              y[m * rows.out.stride + c] = x[m * rows.in.stride + c] * opening[c];
            });
          }
          if (!is_scalar) {
            for_channels(
                team, rows.channels, [&](int c) { opening[c] *= x[last * rows.in.stride + c]; });
          }
          for (int m = 0; m < rows.out.components; ++m) {
            Scalar* const rest = y + m * rows.out.stride + rows.channels;
            for_channels(team, rows.out.stride - rows.channels, [&](int c) { rest[c] = 0; });
          }
        });
      });
}

/// Adds to adj_in and adj_gate.
template <class S> void gate_adjoint(const typename S::Exec& space,
                                     std::int64_t n_nodes,
                                     const GateRows<typename S::Scalar>& rows,
                                     const Rows<typename S::Scalar>& adj_out,
                                     const Rows<typename S::Scalar>& adj_in,
                                     const Rows<typename S::Scalar>& adj_gate) {
  using Scalar = typename S::Scalar;
  const bool is_scalar = rows.gate.data == nullptr;
  for_node_tiles<S>(
      space,
      "eqnn::gate_adjoint",
      n_nodes,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        for_rows(team, n, [&](std::int64_t r) {
          const Scalar* const x = rows.in.row(first + r);
          const Scalar* const adj_y = adj_out.row(first + r);
          Scalar* const adj_x = adj_in.row(first + r);
          for_function(rows.function, [&](auto function) {
            constexpr std::int32_t kFunction = decltype(function)::value;
            if (is_scalar) {
              for_channels(team, rows.channels, [&](int c) {
                adj_x[c] += adj_y[c] * activation_at<kFunction>(x[c]).slope;
              });
              return;
            }
            const Scalar* const g = rows.gate.row(first + r);
            Scalar* const adj_g = adj_gate.row(first + r);
            for_channels(team, rows.channels, [&](int c) {
              const Activation<Scalar> opening = activation_at<kFunction>(g[c]);
              Scalar along = 0;
              for (int m = 0; m < rows.out.components; ++m) {
                const Scalar adjoint = adj_y[m * rows.out.stride + c];
                along += adjoint * x[m * rows.in.stride + c];
                adj_x[m * rows.in.stride + c] += adjoint * opening.value;
              }
              adj_g[c] += along * opening.slope;
            });
          });
        });
      });
}

template <class S> struct GateStage {
  using Scalar = typename S::Scalar;

  plan::Gate op;

  GateStage(plan::Gate host, DeviceTables<S>&)
      : op(std::move(host)) {}

  std::int32_t message_width(const DeviceTables<S>&) const { return 0; }

  void forward(const Context<S>& at) const {
    for (const plan::GateRow& row : op.rows) {
      gate<S>(at.space(), at.n_centers(), gate_rows(row, at));
    }
  }

  void adjoint(const Context<S>& at) const {
    for (const plan::Input& in : {op.in, op.gates}) {
      if (in.value != plan::kNoValue && in.adjoint == plan::Write::Overwrite) {
        clear<S>(at.space(), at.adjoint(in), 0, at.n_centers());
      }
    }
    for (const plan::GateRow& row : op.rows) {
      gate_adjoint<S>(at.space(),
                      at.n_centers(),
                      gate_rows(row, at),
                      at.adjoint_blocks(op.out, row.out, row.n_blocks),
                      at.adjoint_blocks(op.in.value, row.in, row.n_blocks),
                      gates_of(row, at, true));
    }
  }

private:
  /// The gates of a row, from the value or from its adjoint.
  Rows<Scalar> gates_of(const plan::GateRow& row, const Context<S>& at, bool of_adjoint) const {
    if (row.gate < 0) {
      return {};
    }
    const plan::ValueId v = op.gates.value == plan::kNoValue ? op.in.value : op.gates.value;
    Rows<Scalar> gates = of_adjoint ? at.adjoint_blocks(v, row.gate) : at.value_blocks(v, row.gate);
    gates.data += row.channel;
    return gates;
  }

  GateRows<Scalar> gate_rows(const plan::GateRow& row, const Context<S>& at) const {
    return {at.value_blocks(op.in.value, row.in, row.n_blocks),
            at.value_blocks(op.out, row.out, row.n_blocks),
            gates_of(row, at, false),
            row.channels,
            row.function};
  }
};

} // namespace eqnn::kernels
