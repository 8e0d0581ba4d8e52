// SPDX-License-Identifier: BSD-3-Clause
// Forces and virial from edge gradients: the only place with the sign convention.
#pragma once

#include "eqnn/edges.hpp"

#include <cstdint>
#include <vector>

namespace eqnn::engine {

/// first .. end-1
struct Centers {
  std::int32_t first, end;
};

/// Adds to its outputs, each of which may be null. With g = dE/dr of an edge from center i to
/// source j, r = x_j - x_i:
/// forces [n_nodes, 3], ghosts included: F_i += g, F_j -= g;  virial [9], row-major: -sum r (x) g;
/// atom_virial [n_nodes, 9]: each edge's part half to i, half to j.
/// Of the edges of these centers alone.
void fold_edges(const EdgeList& edges,
                Centers centers,
                const std::vector<double>& edge_gradient,
                double* forces,
                double* virial,
                double* atom_virial);

/// Of all edges.
void fold_edges(const EdgeList& edges,
                const std::vector<double>& edge_gradient,
                double* forces,
                double* virial,
                double* atom_virial = nullptr);

} // namespace eqnn::engine
