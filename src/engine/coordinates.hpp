// SPDX-License-Identifier: BSD-3-Clause
// What an optimizer moves: positions, and with a cell its deformation too, as ASE's FrechetCellFilter.
#pragma once

#include "engine/matrix3.hpp"
#include "eqnn/relax.hpp"

#include <vector>

namespace eqnn::engine {

/// With the cell: atoms where they would be in the first cell, and n log(F) in three rows behind
/// them, for n atoms and the deformation gradient F, by which atoms and lattice vectors are x = F x0.
class Coordinates {
public:
  Coordinates(const RelaxInput& input, bool with_cell);

  const Structure& structure() const { return structure_; }

  /// [3 rows]
  const std::vector<double>& x() const { return x_; }

  /// What pulls at x: forces [n, 3] on atoms, of which those on fixed atoms do not count, and of the
  /// virial (Observables) what pulls at the cell.
  std::vector<double> pull(const std::vector<double>& forces,
                           const std::array<double, 9>& virial) const;

  void move(const std::vector<double>& by);

  /// Angstrom, of the atom that is farthest from where it began; what the cell carried along does
  /// not count.
  double farthest() const;

  /// Of the cell, to that of the first cell; 1 without it.
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
