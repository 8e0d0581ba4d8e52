// SPDX-License-Identifier: BSD-3-Clause
#include "engine/observe.hpp"

#include "engine/fold_edges.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <numeric>

namespace eqnn::engine {

void reserve(const EdgeList& edges, Wanted wanted, Observables& observables) {
  const auto n_nodes = static_cast<std::size_t>(edges.n_nodes);
  observables.atom_energy.reserve(static_cast<std::size_t>(edges.n_centers));
  observables.forces.reserve(wanted.forces ? 3 * n_nodes : 0);
  observables.atom_virial.reserve(wanted.atom_virial ? 9 * n_nodes : 0);
}

void observe(const EdgeList& edges,
             const Outputs& outputs,
             ForceKind forces,
             Wanted wanted,
             Observables& observables) {
  const auto n_nodes = static_cast<std::size_t>(edges.n_nodes);
  const bool is_direct = forces == ForceKind::Direct;
  observables.atom_energy = outputs.energy;
  observables.energy = std::accumulate(outputs.energy.begin(), outputs.energy.end(), 0.0);
  observables.forces.assign(wanted.forces ? 3 * n_nodes : 0, 0.0);
  // What is derived from a virial that direct forces lack must not pass for a number.
  const double none = is_direct ? std::numeric_limits<double>::quiet_NaN() : 0.0;
  observables.virial.fill(wanted.virial ? none : 0.0);
  observables.atom_virial.assign(wanted.atom_virial ? 9 * n_nodes : 0, none);
  if (!is_direct) {
    fold_edges(edges,
               outputs.edge_gradient,
               wanted.forces ? observables.forces.data() : nullptr,
               wanted.virial ? observables.virial.data() : nullptr,
               wanted.atom_virial ? observables.atom_virial.data() : nullptr);
  } else if (wanted.forces) {
    std::copy(
        outputs.direct_forces.begin(), outputs.direct_forces.end(), observables.forces.begin());
  }
}

} // namespace eqnn::engine
