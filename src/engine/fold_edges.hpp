// SPDX-License-Identifier: BSD-3-Clause
// Forces and virial from edge gradients. The sign convention is defined here only.
#pragma once

#include "eqnn/edges.hpp"

#include <cstdint>
#include <vector>

namespace eqnn::engine {

/// The centers first .. end-1.
struct Centers {
  std::int32_t first, end;
};

/// Adds the contributions of the edges of these centers to the outputs, each of which may be null.
/// With g = dE/dr of an edge from center i to source j, r = x_j - x_i:
/// forces [n_nodes, 3], including ghosts: F_i += g, F_j -= g
/// virial [9], row-major: -sum r (x) g
/// atom_virial [n_nodes, 9]: half of each edge's term goes to i, half to j
void fold_edges(const EdgeList& edges,
                Centers centers,
                const std::vector<double>& edge_gradient,
                double* forces,
                double* virial,
                double* atom_virial);

/// The same for all edges.
void fold_edges(const EdgeList& edges,
                const std::vector<double>& edge_gradient,
                double* forces,
                double* virial,
                double* atom_virial = nullptr);

} // namespace eqnn::engine
