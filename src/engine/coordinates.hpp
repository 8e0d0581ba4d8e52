// SPDX-License-Identifier: BSD-3-Clause
// The coordinates that an optimizer moves: positions and, with a cell, its deformation. Follows
// ASE's FrechetCellFilter.
#pragma once

#include "engine/matrix3.hpp"
#include "eqnn/relax.hpp"

#include <vector>

namespace eqnn::engine {

/// With a cell, x holds the positions mapped back to the initial cell, followed by the three rows
/// of n log(F), for n atoms and the deformation gradient F. Atoms and lattice vectors are x = F x0.
class Coordinates {
public:
  Coordinates(const RelaxInput& input, bool with_cell);

  const Structure& structure() const { return structure_; }

  /// Flattened rows of three numbers.
  const std::vector<double>& x() const { return x_; }

  /// The generalized force on x. Atoms contribute forces [n, 3], zero for fixed atoms. The virial
  /// (Observables) gives the force on the cell.
  std::vector<double> pull(const std::vector<double>& forces,
                           const std::array<double, 9>& virial) const;

  void move(const std::vector<double>& by);

  /// Largest displacement of an atom from its initial position, Angstrom. Excludes the motion of
  /// the cell.
  double farthest() const;

  /// Current volume divided by the initial volume; 1 if the cell is not relaxed.
  double volume_ratio() const { return determinant(deformation_); }

private:
  Structure structure_;
  std::vector<std::uint8_t> fixed_;
  bool with_cell_;
  std::size_t n_;
  Matrix3 first_cell_{};
  Matrix3 deformation_ = identity<3>(); ///< F
  std::vector<double> x_, first_x_;
};

} // namespace eqnn::engine
