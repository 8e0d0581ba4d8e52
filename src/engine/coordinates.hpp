// SPDX-License-Identifier: BSD-3-Clause
// What an optimizer moves: positions and, with a cell, its deformation, as in ASE's
// FrechetCellFilter.
#pragma once

#include "engine/matrix3.hpp"
#include "eqnn/relax.hpp"

#include <vector>

namespace eqnn::engine {

/// With the cell: atoms mapped back to the initial cell, followed by three rows n log(F), for n
/// atoms and the deformation gradient F. Atoms and lattice vectors are x = F x0.
class Coordinates {
public:
  Coordinates(const RelaxInput& input, bool with_cell);

  const Structure& structure() const { return structure_; }

  /// [3 rows]
  const std::vector<double>& x() const { return x_; }

  /// The generalized force on x: from the forces [n, 3] on atoms, except fixed ones, and from the
  /// virial (Observables) on the cell.
  std::vector<double> pull(const std::vector<double>& forces,
                           const std::array<double, 9>& virial) const;

  void move(const std::vector<double>& by);

  /// Largest displacement of an atom from its initial position, Angstrom, without the motion of the
  /// cell.
  double farthest() const;

  /// Volume of the cell over that of the initial cell; 1 without a cell.
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
