// SPDX-License-Identifier: BSD-3-Clause
// Cells of small structures, and how far a structure may reach. Private to src/neighbors and
// src/model, whose files carry structures that edges_of() must take.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <vector>

namespace eqnn {

using Vector3 = std::array<double, 3>;

/// Throws Error for an atom that is not at a finite place, or too far from the origin.
void require_near(const std::vector<Vector3>& positions);

/// A cell that is periodic in all three directions; rows are lattice vectors, Angstrom.
class Lattice {
public:
  /// Throws Error for what is not finite, too large or without volume.
  explicit Lattice(const std::array<double, 9>& cell);

  /// The image of x in the cell: x itself where it is there already. Each product and difference is
  /// rounded once, so that nothing is lost beyond what x itself lacks.
  Vector3 wrapped(const Vector3& x) const;
  std::vector<Vector3> wrapped(std::vector<Vector3> positions) const;

  /// How many cells along each lattice vector any of these atoms may be from another within the
  /// cutoff. Throws Error where the translations are too many.
  std::array<int, 3> reach(const std::vector<Vector3>& positions, double cutoff) const;

  /// Translations by up to so many cells, either way.
  std::vector<Vector3> translations(const std::array<int, 3>& most) const;

private:
  Vector3 opposite(std::size_t a) const;
  double fraction(const Vector3& x, std::size_t a) const;

  std::array<Vector3, 3> rows_;
  double volume_;
};

/// Throws Error for positions and cells of which edges_of() would make no edges, whatever the
/// elements.
void require_usable(const std::vector<Vector3>& positions,
                    const std::optional<std::array<double, 9>>& cell,
                    double cutoff);

} // namespace eqnn
