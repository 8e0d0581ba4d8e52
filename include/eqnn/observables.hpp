// SPDX-License-Identifier: BSD-3-Clause
// The results of an evaluation.
#pragma once

#include <array>
#include <string>
#include <vector>

namespace eqnn {

/// Results to compute besides energies. If none is wanted, there is no reverse pass, which takes
/// most of the time.
struct Wanted {
  bool forces = true;       ///< Observables::forces
  bool virial = false;      ///< Observables::virial
  bool atom_virial = false; ///< Observables::atom_virial
};

/// Results for the atoms of one rank. The caller sums over ranks, and adds the values of ghosts to
/// their owners. Results that were not wanted are empty or zero.
struct Observables {
  double energy = 0.0; ///< eV, the sum of atom_energy
  /// [n_centers] eV, including reference energies. With EnergyZero::FreeAtoms, relative to free
  /// atoms. If the model's energy is a mean per atom, each atom's share of the total energy.
  std::vector<double> atom_energy;
  /// [n_nodes, 3] eV/Angstrom; the rows of ghosts belong to their owners
  std::vector<double> forces;
  /// [3, 3] row-major, eV: -sum over edges of r (x) dE/dr. NaN for direct forces.
  std::array<double, 9> virial{};
  /// [n_nodes, 3, 3] eV: half of each edge's term goes to its center, half to its source. Their sum
  /// is the virial.
  std::vector<double> atom_virial;
};

/// Results for structures packed one after another in one EdgeList. Results that were not wanted
/// are empty. If a structure failed, all its numbers are NaN.
struct PackedObservables {
  std::vector<std::string> failure; ///< [n_structures] empty if nothing failed
  std::vector<double> energy;       ///< [n_structures] eV
  std::vector<double> atom_energy;  ///< [n_centers] eV, as in Observables
  std::vector<double> forces;       ///< [n_centers, 3] eV/Angstrom
  std::vector<double> virial;       ///< [n_structures, 3, 3] eV, as in Observables
  std::vector<double> atom_virial;  ///< [n_centers, 3, 3] eV
};

} // namespace eqnn
