// SPDX-License-Identifier: BSD-3-Clause
// y[k, c] = sum_i W[k, i] x[i, c] on every node.
#pragma once

#include "kernels/context.hpp"
#include "plan/stages/component_map.hpp"

namespace eqnn::kernels {

/// out = or += weight in, node by node. weight: [components of out, components of in]
template <class S> void map_components(const typename S::Exec& space,
                                       std::int64_t n_nodes,
                                       const Array<S, typename S::Scalar>& weight,
                                       const Rows<typename S::Scalar>& in,
                                       const Rows<typename S::Scalar>& out,
                                       plan::Write write) {
  using Scalar = typename S::Scalar;
  for_node_tiles<S>(
      space,
      "eqnn::component_map",
      n_nodes,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        const Extents extents{out.components, out.stride, in.components};
        const Left<Scalar> left{weight.data(), in.components, 1};
        for (std::int64_t node = first; node < first + n; ++node) {
          const Right<Scalar> x = row_major(static_cast<const Scalar*>(in.row(node)), in.stride);
          const Target<Scalar> y{out.row(node), out.stride};
          if (write == plan::Write::Add) {
            multiply<true>(team, extents, left, x, y);
          } else {
            multiply<false>(team, extents, left, x, y);
          }
        }
      });
}

template <class S> struct ComponentMapStage {
  using Scalar = typename S::Scalar;

  plan::ComponentMap op;
  Array<S, Scalar> weight, transposed;

  ComponentMapStage(plan::ComponentMap host, DeviceTables<S>& tables)
      : op(std::move(host)) {
    weight = tables.template array<Scalar>("eqnn::component_map", op.weight);
    transposed = tables.template array<Scalar>(
        "eqnn::component_map_adjoint",
        plan::transposed(
            op.weight, tables.value(op.out).components, tables.value(op.in.value).components));
    release(op.weight);
  }

  std::int32_t message_width(const DeviceTables<S>&) const { return 0; }

  void forward(const Context<S>& at) const {
    map_components<S>(at.space(),
                      at.n_centers(),
                      weight,
                      at.value(op.in),
                      at.value(op.out),
                      plan::Write::Overwrite);
  }

  void adjoint(const Context<S>& at) const {
    map_components<S>(at.space(),
                      at.n_centers(),
                      transposed,
                      at.adjoint(op.out),
                      at.adjoint(op.in),
                      op.in.adjoint);
  }
};

} // namespace eqnn::kernels
