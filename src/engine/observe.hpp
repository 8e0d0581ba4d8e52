// SPDX-License-Identifier: BSD-3-Clause
// From energies of atoms and gradients of edges to what is asked for.
#pragma once

#include "base/edge_list.hpp"
#include "eqnn/model.hpp"
#include "eqnn/observables.hpp"

#include <cstdint>

namespace eqnn::engine {

/// Memory for what is wanted of so many atoms, so that observe() takes none.
void reserve(std::int32_t n_centers, std::int32_t n_nodes, Wanted wanted, Observables& observables);

/// Writes all of `observables`. outputs: as the model means them, not the network's own.
void observe(const EdgeList& edges,
             const Outputs& outputs,
             ForceKind forces,
             Wanted wanted,
             Observables& observables);

/// The same of structures that are packed one after another; what is not finite is the failure of
/// its structure.
void observe_each(const EdgeList& edges,
                  const Outputs& outputs,
                  ForceKind forces,
                  Wanted wanted,
                  PackedObservables& observables);

} // namespace eqnn::engine
