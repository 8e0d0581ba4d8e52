// SPDX-License-Identifier: BSD-3-Clause
// Computes the wanted observables from energies of atoms and gradients of edges.
#pragma once

#include "base/edge_list.hpp"
#include "eqnn/model.hpp"
#include "eqnn/observables.hpp"

#include <cstdint>

namespace eqnn::engine {

/// Allocates memory for the wanted results of so many atoms, so that observe() allocates none.
void reserve(std::int32_t n_centers, std::int32_t n_nodes, Wanted wanted, Observables& observables);

/// Writes all of `observables`. outputs: the model's, not the network's raw ones.
void observe(const EdgeList& edges,
             const Outputs& outputs,
             ForceKind forces,
             Wanted wanted,
             Observables& observables);

/// The same for packed structures. A result that is not finite becomes the failure of its
/// structure.
void observe_each(const EdgeList& edges,
                  const Outputs& outputs,
                  ForceKind forces,
                  Wanted wanted,
                  PackedObservables& observables);

} // namespace eqnn::engine
