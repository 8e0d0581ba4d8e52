// SPDX-License-Identifier: BSD-3-Clause
// Makes edges from structures. MD codes have their own neighbor lists.
#pragma once

#include "eqnn/edges.hpp"
#include "eqnn/export.h"

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

namespace eqnn {

/// Returns every pair closer than the cutoff, including periodic images and an atom's own images.
/// The cost is n log n in the number of atoms and images. Atoms may be any number of cells apart.
/// numbers: [n] atomic numbers. species: those of the model; edges have their rows. positions: [n]
/// Angstrom. cell: Angstrom; rows are lattice vectors, periodic in all three directions. Throws
/// Error if numbers and positions have different lengths, for an element that is not in `species`,
/// for positions and cells that are not finite or above 1e8 Angstrom, for a cell of less than 1e-6
/// A^3, for a cell with more than 1e6 images within the cutoff, and for a cutoff that is not finite
/// and above 0.
EQNN_API EdgeList edges_of(const std::vector<std::int32_t>& numbers,
                           const std::vector<std::array<double, 3>>& positions,
                           const std::optional<std::array<double, 9>>& cell,
                           const std::vector<std::int32_t>& species,
                           double cutoff);

} // namespace eqnn
