// SPDX-License-Identifier: BSD-3-Clause
// What an evaluation gives.
#pragma once

#include <array>
#include <string>
#include <vector>

namespace eqnn {

/// Energies are always computed. Without any of these there is no pass in reverse, which is most of
/// the time.
struct Wanted {
  bool forces = true;       ///< Observables::forces
  bool virial = false;      ///< Observables::virial
  bool atom_virial = false; ///< Observables::atom_virial
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
  /// [n_nodes, 3, 3] eV: of each edge's part, half to its center and half to its source. Their sum
  /// is the virial.
  std::vector<double> atom_virial;
};

/// Of structures that are packed one after another in one EdgeList. What was not wanted is empty.
/// All numbers of a structure that failed are NaN.
struct PackedObservables {
  std::vector<std::string> failure; ///< [n_structures] empty where all is well
  std::vector<double> energy;       ///< [n_structures] eV
  std::vector<double> atom_energy;  ///< [n_centers] eV, as in Observables
  std::vector<double> forces;       ///< [n_centers, 3] eV/Angstrom
  std::vector<double> virial;       ///< [n_structures, 3, 3] eV, as in Observables
  std::vector<double> atom_virial;  ///< [n_centers, 3, 3] eV
};

} // namespace eqnn
