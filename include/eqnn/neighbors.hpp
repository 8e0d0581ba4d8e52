// SPDX-License-Identifier: BSD-3-Clause
// Builds edges from structures. MD codes have their own neighbor lists.
#pragma once

#include "eqnn/edges.hpp"
#include "eqnn/export.h"

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

namespace eqnn {

/// Returns all pairs closer than the cutoff, including those with periodic images, also of the atom
/// itself. The cost is O(n log n) in the number of atoms and images. Positions may lie outside the
/// cell, any number of cells apart. numbers: [n] atomic numbers. positions: [n] Angstrom. cell:
/// rows are lattice vectors, Angstrom, periodic in all three directions. species: Model::species();
/// EdgeList::species holds rows of it. cutoff: Angstrom. Throws Error if numbers and positions have
/// different lengths, for an element that is not in `species`, for coordinates and cell components
/// that are not finite or above 1e8 Angstrom, for a cell volume of 1e-6 A^3 or less, for a cell
/// with more than 1e6 images within the cutoff, and for a cutoff that is not finite and above 0.
EQNN_API EdgeList edges_of(const std::vector<std::int32_t>& numbers,
                           const std::vector<std::array<double, 3>>& positions,
                           const std::optional<std::array<double, 9>>& cell,
                           const std::vector<std::int32_t>& species,
                           double cutoff);

} // namespace eqnn
