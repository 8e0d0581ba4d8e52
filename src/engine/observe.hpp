// SPDX-License-Identifier: BSD-3-Clause
// Computes the wanted observables from atomic energies and edge gradients.
#pragma once

#include "base/edge_list.hpp"
#include "eqnn/model.hpp"
#include "eqnn/observables.hpp"

#include <cstdint>

namespace eqnn::engine {

/// Allocates memory for the wanted results, so that observe() does not allocate.
void reserve(std::int32_t n_centers, std::int32_t n_nodes, Wanted wanted, Observables& observables);

/// Writes all of `observables`. outputs: after Energies::apply(), not the network's raw outputs.
void observe(const EdgeList& edges,
             const Outputs& outputs,
             ForceKind forces,
             Wanted wanted,
             Observables& observables);

/// The same for packed structures. If a result is not finite, only its structure fails.
void observe_each(const EdgeList& edges,
                  const Outputs& outputs,
                  ForceKind forces,
                  Wanted wanted,
                  PackedObservables& observables);

} // namespace eqnn::engine
