// SPDX-License-Identifier: BSD-3-Clause
// What an evaluation gives.
#pragma once

#include <array>
#include <vector>

namespace eqnn {

/// Energies are always computed. Without any of these there is no pass in reverse, which is most of
/// the time.
struct Wanted {
  bool forces = true;
  bool virial = false;
  bool atom_virial = false;
};

/// Of one rank's atoms: the sums over ranks, and bringing what ghosts got to their owners, are the
/// caller's. What was not wanted is empty or zero.
struct Observables {
  double energy = 0.0; ///< eV, the sum of atom_energy
  /// [n_centers] eV; reference energies included, and left out with EnergyZero::FreeAtoms. Where
  /// the model's energy is a mean per atom, each atom's share of the total energy.
  std::vector<double> atom_energy;
  /// [n_nodes, 3] eV/Angstrom: ghosts hold what belongs to their owners
  std::vector<double> forces;
  /// [3, 3] row-major, eV: -sum over edges of r (x) dE/dr. NaN for direct forces, which have none.
  std::array<double, 9> virial{};
  /// [n_nodes, 3, 3] eV: of each edge's part, half to its centre and half to its source. Their sum
  /// is the virial.
  std::vector<double> atom_virial;
};

} // namespace eqnn
