// SPDX-License-Identifier: BSD-3-Clause
// Structures as people write them, turned into edges. MD codes have neighbor lists of their own.
#pragma once

#include "eqnn/edges.hpp"
#include "eqnn/export.h"

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

namespace eqnn {

/// Every pair closer than the cutoff, periodic images and an atom's own images included. Cost:
/// n log n of atoms and images; how many cells periodic atoms are away from each other costs
/// nothing. numbers: [n] atomic numbers; species: those of the model, whose rows the edges name.
/// positions [n], cell (rows are lattice vectors, periodic in all three) in Angstrom. Throws Error
/// where numbers and positions are not as many, for an element that is not in `species`, for
/// positions and cells that are not finite or above 1e8 Angstrom, for a cell of less than 1e-6 A^3
/// for one with more than 1e6 images within the cutoff, and for a cutoff that is not above 0 and
/// finite.
EQNN_API EdgeList edges_of(const std::vector<std::int32_t>& numbers,
                           const std::vector<std::array<double, 3>>& positions,
                           const std::optional<std::array<double, 9>>& cell,
                           const std::vector<std::int32_t>& species,
                           double cutoff);

} // namespace eqnn
