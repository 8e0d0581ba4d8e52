// SPDX-License-Identifier: BSD-3-Clause
// One evaluation, from edges to observables: forward pass, energies, reverse pass, forces and
// virials.
#pragma once

#include "base/edge_list.hpp"
#include "engine/energies.hpp"
#include "eqnn/halo.hpp"
#include "eqnn/observables.hpp"
#include "eqnn/on_device.hpp"
#include "kernels/any_evaluator.hpp"
#include "model/model_spec.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace eqnn::engine {

class Engine {
public:
  /// evaluator: evaluates the model's network
  Engine(const ModelSpec& model, std::unique_ptr<kernels::AnyEvaluator> evaluator);

  /// See Potential::evaluate().
  const Observables& evaluate(const EdgeList& edges, HaloExchange& halo, Wanted wanted);

  /// See Potential::evaluate_each().
  const PackedObservables& evaluate_each(const EdgeList& edges, Wanted wanted);

  /// The first half of evaluate(): computes the energies and gradients that observables are made
  /// from.
  const Outputs& outputs_of(const EdgeList& edges, HaloExchange& halo, Wanted wanted);

  /// See Potential::evaluate() for neighbors on the device.
  const ResultsOnDevice&
  evaluate(const NeighborsOnDevice& neighbors, HaloExchange& halo, Wanted wanted);

  /// See Potential::evaluate() for neighbors on the host.
  const Observables& evaluate(const NeighborsOnHost& neighbors, HaloExchange& halo, Wanted wanted);

  /// [n_species] eV, see Potential::free_atom_energies().
  std::vector<double> free_atom_energies();

  /// Makes later energies relative to free atoms.
  void leave_out_free_atoms() { energies_.set_zero(free_atom_energies()); }

  int concurrency() const { return evaluator_->concurrency(); }

  /// Memory of the evaluator and of the results stored here.
  std::size_t bytes_used() const;

private:
  bool with_gradient(Wanted wanted) const {
    return forces_ == ForceKind::Gradient && (wanted.forces || wanted.virial || wanted.atom_virial);
  }

  /// Numbers of this rank's owned atoms and nodes in the current step.
  struct Counts {
    std::int32_t n_centers, n_nodes;
  };

  template <class Take> const ResultsOnDevice&
  evaluate_taken(Counts counts, const Take& take, HaloExchange& halo, Wanted wanted);

  /// Checks the edges against the model and allocates all memory of a step except observables.
  void take(const EdgeList& edges, Wanted wanted);

  ForceKind forces_;
  std::size_t n_species_;
  double cutoff_; ///< Angstrom
  Energies energies_;
  std::unique_ptr<kernels::AnyEvaluator> evaluator_;
  Outputs outputs_;
  std::vector<double> seed_; ///< [n_centers] dE/de_i, see Energies
  Observables observables_;
  PackedObservables packed_;
};

} // namespace eqnn::engine
