// SPDX-License-Identifier: BSD-3-Clause
// The results of evaluators, and checks of the edges of a step.
#pragma once

#include "eqnn/edges.hpp"

#include <cstddef>
#include <vector>

namespace eqnn {

/// From the reference evaluator and the engine, these are the model's energies and gradients. They
/// include scale, shift, reference energies and, for a mean per atom, the factor N. A
/// kernels::AnyEvaluator returns the network's raw energies, which src/engine/energies.hpp
/// converts.
struct Outputs {
  std::vector<double> energy; ///< [n_centers] eV
  /// [n_edges, 3] dE/d(edge vector), eV/Angstrom; empty for direct forces
  std::vector<double> edge_gradient;
  std::vector<double> direct_forces; ///< [n_centers, 3] eV/Angstrom; empty for gradient forces
};

/// Throws Error if sizes or indices are inconsistent, because a loop over edges would then read out
/// of bounds. Throws Error if a species row is not below n_species, and if an edge is longer than
/// the cutoff (Angstrom), because the model would treat it as a neighbor. Reads each number once.
void require_fitting(const EdgeList& edges, std::size_t n_species, double cutoff);

} // namespace eqnn
