// SPDX-License-Identifier: BSD-3-Clause
// The l = 0 row is that of the node's species, all others are 0. No gradient.
#pragma once

#include "kernels/context.hpp"
#include "plan/stages/species_embedding.hpp"

namespace eqnn::kernels {

template <class S> void species_embedding(const typename S::Exec& space,
                                          const DeviceEdges<S>& edges,
                                          const Array<S, typename S::Scalar>& table,
                                          const Rows<typename S::Scalar>& out) {
  for_node_tiles<S>(
      space,
      "eqnn::species_embedding",
      edges.n_centers,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        for_rows(team, n, [&](std::int64_t r) {
          typename S::Scalar* const x = out.row(first + r);
          const typename S::Scalar* const species =
              table.data() + std::int64_t{edges.species(first + r)} * out.stride;
          for_channels(team, out.width(), [&](int c) {
            x[c] = c < out.stride ? species[c] : typename S::Scalar(0);
          });
        });
      });
}

template <class S> struct SpeciesEmbeddingStage {
  using Scalar = typename S::Scalar;

  plan::SpeciesEmbedding op;
  Array<S, Scalar> table;

  SpeciesEmbeddingStage(plan::SpeciesEmbedding host, DeviceTables<S>& tables)
      : op(std::move(host)) {
    table = tables.template array<Scalar>(
        "eqnn::embedding_table",
        DeviceTables<S>::pad_rows(op.table, tables.block(op.out, 0).channels));
    release(op.table);
  }

  std::int32_t message_width(const DeviceTables<S>&) const { return 0; }

  void forward(const Context<S>& at) const {
    species_embedding(at.space(), at.edges(), table, at.value(op.out));
  }

  void adjoint(const Context<S>&) const {}
};

} // namespace eqnn::kernels
