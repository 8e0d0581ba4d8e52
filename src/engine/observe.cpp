// SPDX-License-Identifier: BSD-3-Clause
#include "engine/observe.hpp"

#include "engine/fold_edges.hpp"
#include "engine/require_finite.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <numeric>

namespace eqnn::engine {

namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

/// Pointer to the results from `first` on; null if they are not wanted.
double* at(std::vector<double>& numbers, std::size_t first) {
  return numbers.empty() ? nullptr : numbers.data() + first;
}

/// Resizes and clears all results except atom_energy. Direct forces have no virial. It is NaN,
/// which cannot be mistaken for a result.
void clear(std::size_t n_structures,
           std::size_t n_atoms,
           bool is_direct,
           Wanted wanted,
           PackedObservables& observables) {
  const double of_virial = is_direct ? kNone : 0.0;
  observables.failure.resize(n_structures);
  observables.energy.assign(n_structures, 0.0);
  observables.forces.assign(wanted.forces ? 3 * n_atoms : 0, 0.0);
  observables.virial.assign(wanted.virial ? 9 * n_structures : 0, of_virial);
  observables.atom_virial.assign(wanted.atom_virial ? 9 * n_atoms : 0, of_virial);
}

/// Sets all results of a failed structure to NaN.
void spoil(std::size_t s, Centers atoms, PackedObservables& observables) {
  const auto fill = [](std::vector<double>& numbers, std::size_t first, std::size_t end) {
    if (!numbers.empty()) {
      std::fill(numbers.begin() + static_cast<std::ptrdiff_t>(first),
                numbers.begin() + static_cast<std::ptrdiff_t>(end),
                kNone);
    }
  };
  const auto first = static_cast<std::size_t>(atoms.first);
  const auto end = static_cast<std::size_t>(atoms.end);
  fill(observables.energy, s, s + 1);
  fill(observables.virial, 9 * s, 9 * s + 9);
  fill(observables.atom_energy, first, end);
  fill(observables.forces, 3 * first, 3 * end);
  fill(observables.atom_virial, 9 * first, 9 * end);
}

} // namespace

void reserve(std::int32_t n_centers,
             std::int32_t n_nodes,
             Wanted wanted,
             Observables& observables) {
  const auto n = static_cast<std::size_t>(n_nodes);
  observables.atom_energy.reserve(static_cast<std::size_t>(n_centers));
  observables.forces.reserve(wanted.forces ? 3 * n : 0);
  observables.atom_virial.reserve(wanted.atom_virial ? 9 * n : 0);
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
  // Direct forces have no virial. It is NaN, which cannot be mistaken for a result.
  const double none = is_direct ? kNone : 0.0;
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

void observe_each(const EdgeList& edges,
                  const Outputs& outputs,
                  ForceKind forces,
                  Wanted wanted,
                  PackedObservables& observables) {
  const bool is_direct = forces == ForceKind::Direct;
  const std::size_t n_structures = edges.structures.size() - 1;
  clear(n_structures, outputs.energy.size(), is_direct, wanted, observables);
  observables.atom_energy = outputs.energy;
  if (is_direct && wanted.forces) {
    observables.forces = outputs.direct_forces;
  }
  for (std::size_t s = 0; s < n_structures; ++s) {
    const Centers atoms{edges.structures[s], edges.structures[s + 1]};
    observables.failure[s] = not_finite_in(edges, outputs, atoms);
    if (!observables.failure[s].empty()) {
      spoil(s, atoms, observables);
      continue;
    }
    observables.energy[s] = std::accumulate(
        outputs.energy.begin() + atoms.first, outputs.energy.begin() + atoms.end, 0.0);
    if (!is_direct) {
      fold_edges(edges,
                 atoms,
                 outputs.edge_gradient,
                 at(observables.forces, 0),
                 at(observables.virial, 9 * s),
                 at(observables.atom_virial, 0));
    }
  }
}

} // namespace eqnn::engine
