// SPDX-License-Identifier: BSD-3-Clause
// The self-test that travels in a model file: known structures with their energies, forces and virials.
#pragma once

#include "base/edge_list.hpp"
#include "model/model_spec.hpp"

#include <functional>
#include <vector>

namespace eqnn::reference {

struct SelfTestErrors {
  int n_structures = 0;
  double energy = 0.0; ///< largest, eV
  double force = 0.0;  ///< largest component, eV/Angstrom
  double virial = 0.0; ///< largest component, eV
};

/// What an evaluator makes of one structure.
struct Evaluation {
  std::vector<double> energy;        ///< [n] eV
  std::vector<double> edge_gradient; ///< [n_edges, 3]; empty for direct forces
  std::vector<double> direct_forces; ///< [n, 3]; empty for gradient forces
};

/// Energy, forces and virial of one structure, with the factor N of mean-per-atom energies.
struct Properties {
  double energy = 0.0;
  std::vector<double> forces;         ///< [n, 3]
  std::array<double, 9> virial{};     ///< zero for direct forces
};
Properties properties_of(const ModelSpec& model, const EdgeList& edges, const Evaluation& evaluation);

Evaluation evaluate_reference(const ModelSpec& model, const EdgeList& edges);

/// Largest differences between the file's numbers and those of `evaluate`; NaN where one is not a number.
SelfTestErrors self_test(const ModelSpec& model, const std::function<Evaluation(const EdgeList&)>& evaluate);

} // namespace eqnn::reference
