// SPDX-License-Identifier: BSD-3-Clause
// What per-atom energies and edge gradients mean for a whole structure, and the structures that
// travel in a model file: evaluated here and now, and compared with what the file says.
#pragma once

#include "base/edge_list.hpp"
#include "engine/potential.hpp"
#include "model/model_spec.hpp"

#include <array>
#include <functional>
#include <vector>

namespace eqnn {

/// Energy, forces and virial of one structure, with the factor N of mean-per-atom energies.
struct Properties {
  double energy = 0.0;             ///< eV
  std::vector<double> atom_energy; ///< [n] eV
  std::vector<double> forces;      ///< [n, 3] eV/Angstrom
  std::array<double, 9> virial{};  ///< -sum r (x) dE/dr, row-major, eV; zero for direct forces
};

/// @pre edges without ghosts
Properties properties_of(const ModelSpec& model, const EdgeList& edges, Outputs outputs);

/// Largest deviations from the file over all of its self-test structures. NaN stays NaN.
struct SelfTestResult {
  int n_structures = 0;
  double energy_error = 0.0; ///< eV per atom
  double force_error = 0.0;  ///< eV/Angstrom, of one component
  double virial_error = 0.0; ///< eV per atom, of one component; 0 for direct forces
};

SelfTestResult run_self_tests(const ModelSpec& model,
                              const std::function<Outputs(const EdgeList&)>& evaluate);
SelfTestResult run_self_tests(const ModelSpec& model, Potential& potential);

/// Energies and gradients of a structure without ghosts, where there is nothing to exchange.
Outputs evaluate_alone(Potential& potential, const EdgeList& edges);

/// [n_species] eV: the energy of an atom of each species without neighbours, references included.
std::vector<double> free_atom_energies(const ModelSpec& model, Potential& potential);

/// Throws Error if a deviation is larger than `precision` explains.
void require_passed(const SelfTestResult& result, const ModelSpec& model, Precision precision);

} // namespace eqnn
