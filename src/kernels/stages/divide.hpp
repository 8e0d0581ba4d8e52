// SPDX-License-Identifier: BSD-3-Clause
// y = x / d, with one number d per node.
#pragma once

#include "kernels/context.hpp"
#include "plan/stages/divide.hpp"

namespace eqnn::kernels {

/// out = in / divisor; `in` and `out` have the same layout.
template <class S> void divide(const typename S::Exec& space,
                               std::int64_t n_nodes,
                               const Rows<typename S::Scalar>& in,
                               const Rows<typename S::Scalar>& divisor,
                               const Rows<typename S::Scalar>& out) {
  using Scalar = typename S::Scalar;
  for_node_tiles<S>(
      space,
      "eqnn::divide",
      n_nodes,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        for_rows(team, n, [&](std::int64_t r) {
          const Scalar factor = 1 / divisor.row(first + r)[0];
          const Scalar* const x = in.row(first + r);
          Scalar* const y = out.row(first + r);
          for_channels(team, out.width(), [&](int c) { y[c] = x[c] * factor; });
        });
      });
}

/// The rows that the adjoint reads, and those that it overwrites or adds to.
template <class Scalar> struct DivideRows {
  Rows<Scalar> in, divisor, adj_out, adj_in, adj_divisor;
  plan::Write write_in = plan::Write::Add, write_divisor = plan::Write::Add;
};

/// adj_in = or += adj_out / d;  adj_divisor = or += -sum adj_out x / d^2
template <class S> void divide_adjoint(const typename S::Exec& space,
                                       std::int64_t n_nodes,
                                       const DivideRows<typename S::Scalar>& rows) {
  using Scalar = typename S::Scalar;
  using Accum = typename S::Accum;
  const bool keep = rows.write_in == plan::Write::Add;
  const bool keep_divisor = rows.write_divisor == plan::Write::Add;
  for_node_tiles<S>(
      space,
      "eqnn::divide_adjoint",
      n_nodes,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        for_rows(team, n, [&](std::int64_t r) {
          const Scalar factor = 1 / rows.divisor.row(first + r)[0];
          const Scalar* const x = rows.in.row(first + r);
          const Scalar* const adj_y = rows.adj_out.row(first + r);
          Scalar* const adj_x = rows.adj_in.row(first + r);
          Scalar* const adj_d = rows.adj_divisor.row(first + r);
          const Accum sum = sum_channels<Accum>(team, 0, rows.adj_out.width(), [&](int c) {
            return static_cast<Accum>(adj_y[c] * x[c]);
          });
          const auto slope = static_cast<Scalar>(-sum * factor * factor);
          for_channels(team, rows.adj_out.width(), [&](int c) {
            adj_x[c] = keep ? adj_x[c] + adj_y[c] * factor : adj_y[c] * factor;
          });
          for_channels(team, rows.adj_divisor.width(), [&](int c) {
            const Scalar of_channel = c == 0 ? slope : 0;
            adj_d[c] = keep_divisor ? adj_d[c] + of_channel : of_channel;
          });
        });
      });
}

template <class S> struct DivideStage {
  plan::Divide op;

  DivideStage(const plan::Divide& host, DeviceTables<S>&)
      : op(host) {}

  std::int32_t message_width(const DeviceTables<S>&) const { return 0; }

  void forward(const Context<S>& at) const {
    divide<S>(at.space(), at.n_centers(), at.value(op.in), at.value(op.divisor), at.value(op.out));
  }

  void adjoint(const Context<S>& at) const {
    divide_adjoint<S>(at.space(),
                      at.n_centers(),
                      {at.value(op.in),
                       at.value(op.divisor),
                       at.adjoint(op.out),
                       at.adjoint(op.in),
                       at.adjoint(op.divisor),
                       op.in.adjoint,
                       op.divisor.adjoint});
  }
};

} // namespace eqnn::kernels
