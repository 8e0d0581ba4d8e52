// SPDX-License-Identifier: BSD-3-Clause
// The edges of a step, and what evaluators make of them.
#pragma once

#include "eqnn/edges.hpp"

#include <vector>

namespace eqnn {

/// What an evaluator makes of the edges of a step.
struct Outputs {
  /// [n_centers] eV; scale, shift and reference energies included (of mean-per-atom: without the
  /// factor N)
  std::vector<double> energy;
  /// [n_edges, 3] dE/d(edge vector), eV/Angstrom; empty for direct forces
  std::vector<double> edge_gradient;
  std::vector<double> direct_forces; ///< [n_centers, 3] eV/Angstrom; empty for gradient forces
};

} // namespace eqnn
