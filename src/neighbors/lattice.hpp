// SPDX-License-Identifier: BSD-3-Clause
// Cells of small structures, and limits on positions. Private to src/neighbors and to src/model,
// which checks that edges_of() accepts the structures of model files.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <vector>

namespace eqnn {

using Vector3 = std::array<double, 3>;

/// Throws Error if the position of an atom is not finite or too far from the origin.
void require_near(const std::vector<Vector3>& positions);

/// A cell that is periodic in all three directions; rows are lattice vectors, Angstrom.
class Lattice {
public:
  /// Throws Error if a component is not finite or too large, or the volume is zero.
  explicit Lattice(const std::array<double, 9>& cell);

  /// The image of x in the cell; x itself if it is inside already. Each product and difference is
  /// rounded once, so that no precision is lost beyond that of x.
  Vector3 wrapped(const Vector3& x) const;
  std::vector<Vector3> wrapped(std::vector<Vector3> positions) const;

  /// The largest number of cells along each lattice vector between two of these atoms within the
  /// cutoff. Throws Error if there are too many translations.
  std::array<int, 3> reach(const std::vector<Vector3>& positions, double cutoff) const;

  /// Translations by up to so many cells, either way.
  std::vector<Vector3> translations(const std::array<int, 3>& most) const;

private:
  Vector3 opposite(std::size_t a) const;
  double fraction(const Vector3& x, std::size_t a) const;

  std::array<Vector3, 3> rows_;
  double volume_;
};

/// Throws Error for positions and cells that edges_of() would refuse, whatever the elements.
void require_usable(const std::vector<Vector3>& positions,
                    const std::optional<std::array<double, 9>>& cell,
                    double cutoff);

} // namespace eqnn
