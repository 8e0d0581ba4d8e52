// SPDX-License-Identifier: BSD-3-Clause
// out = a + b, whole or block by block.
#pragma once

#include "kernels/context.hpp"
#include "plan/stages/add.hpp"

namespace eqnn::kernels {

template <class S> void add(const typename S::Exec& space,
                            std::int64_t n_nodes,
                            const Rows<typename S::Scalar>& a,
                            const Rows<typename S::Scalar>& b,
                            const Rows<typename S::Scalar>& out) {
  for_node_tiles<S>(
      space,
      "eqnn::add",
      n_nodes,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        for_rows(team, n, [&](std::int64_t r) {
          for_channels(team, out.width(), [&](int c) {
            out.row(first + r)[c] = a.row(first + r)[c] + b.row(first + r)[c];
          });
        });
      });
}

/// out = in
template <class S> void copy(const typename S::Exec& space,
                             std::int64_t n_nodes,
                             const Rows<typename S::Scalar>& in,
                             const Rows<typename S::Scalar>& out) {
  const auto* const from = in.data;
  auto* const to = out.data;
  Kokkos::parallel_for(
      "eqnn::copy",
      typename S::Range(space, 0, n_nodes * out.width()),
      KOKKOS_LAMBDA(std::int64_t k) { to[k] = from[k]; });
}

template <class S> struct AddStage {
  using Scalar = typename S::Scalar;

  plan::Add op;

  AddStage(plan::Add host, DeviceTables<S>&)
      : op(std::move(host)) {}

  std::int32_t message_width(const DeviceTables<S>&) const { return 0; }

  void forward(const Context<S>& at) const {
    if (op.blocks.empty()) {
      add<S>(at.space(), at.n_centers(), at.value(op.a), at.value(op.b), at.value(op.out));
      return;
    }
    copy<S>(at.space(), at.n_centers(), at.value(op.a), at.value(op.out));
    for (std::size_t b = 0; b < op.blocks.size(); ++b) {
      add_block<S>(at.space(),
                   at.n_centers(),
                   at.value_blocks(op.b.value, static_cast<std::int32_t>(b)),
                   at.value_blocks(op.out, op.blocks[b]),
                   plan::Write::Add);
    }
  }

  void adjoint(const Context<S>& at) const {
    add_adjoint<S>(at.space(), at.n_centers(), at.adjoint(op.out), at.adjoint(op.a), op.a.adjoint);
    if (op.blocks.empty()) {
      add_adjoint<S>(
          at.space(), at.n_centers(), at.adjoint(op.out), at.adjoint(op.b), op.b.adjoint);
      return;
    }
    for (std::size_t b = 0; b < op.blocks.size(); ++b) {
      add_block<S>(at.space(),
                   at.n_centers(),
                   at.adjoint_blocks(op.out, op.blocks[b]),
                   at.adjoint_blocks(op.b.value, static_cast<std::int32_t>(b)),
                   op.b.adjoint);
    }
  }
};

} // namespace eqnn::kernels
