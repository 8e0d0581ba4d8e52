// SPDX-License-Identifier: BSD-3-Clause
// The edges of a step, and what evaluators make of them.
#pragma once

#include "eqnn/edges.hpp"

#include <cstddef>
#include <vector>

namespace eqnn {

/// From the reference evaluator and from the engine, energies and gradients are what the model
/// means by them: scale, shift, reference energies and, of mean-per-atom, the factor N are in. A
/// kernels::AnyEvaluator gives the network's own energies: src/engine/energies.hpp turns them into
/// these.
struct Outputs {
  std::vector<double> energy; ///< [n_centers] eV
  /// [n_edges, 3] dE/d(edge vector), eV/Angstrom; empty for direct forces
  std::vector<double> edge_gradient;
  std::vector<double> direct_forces; ///< [n_centers, 3] eV/Angstrom; empty for gradient forces
};

/// Throws Error where sizes or indices do not fit together, so that no loop over edges leaves its
/// arrays; for rows of species beyond n_species; and for an edge beyond the cutoff, Angstrom, which
/// a model takes for a neighbor. Reads each number once.
void require_fitting(const EdgeList& edges, std::size_t n_species, double cutoff);

} // namespace eqnn
