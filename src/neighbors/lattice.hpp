// SPDX-License-Identifier: BSD-3-Clause
// Periodic cells, and limits on positions. Private to src/neighbors and src/model. src/model checks
// that edges_of() accepts the structures in model files.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <vector>

namespace eqnn {

using Vector3 = std::array<double, 3>;

/// Throws Error if a coordinate is not finite or above 1e8 Angstrom.
void require_near(const std::vector<Vector3>& positions);

/// A cell that is periodic in all three directions; rows are lattice vectors, Angstrom.
class Lattice {
public:
  /// Throws Error if a component is not finite or above 1e8 Angstrom, or if the volume is 1e-6 A^3
  /// or less.
  explicit Lattice(const std::array<double, 9>& cell);

  /// The image of x in the cell; x itself if it is inside already. Uses fused multiply-add, so each
  /// step rounds only once and no precision is lost beyond that of x.
  Vector3 wrapped(const Vector3& x) const;
  std::vector<Vector3> wrapped(std::vector<Vector3> positions) const;

  /// The largest number of cells, along each lattice vector, between two of these atoms within the
  /// cutoff. Throws Error if there are more than 1e6 translations.
  std::array<int, 3> reach(const std::vector<Vector3>& positions, double cutoff) const;

  /// All translations by up to `most` cells in either direction.
  std::vector<Vector3> translations(const std::array<int, 3>& most) const;

private:
  Vector3 opposite(std::size_t a) const;
  double fraction(const Vector3& x, std::size_t a) const;

  std::array<Vector3, 3> rows_;
  double volume_;
};

/// Throws Error for positions and cells that edges_of() would reject, for any elements.
void require_usable(const std::vector<Vector3>& positions,
                    const std::optional<std::array<double, 9>>& cell,
                    double cutoff);

} // namespace eqnn
