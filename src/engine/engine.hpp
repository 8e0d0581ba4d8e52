// SPDX-License-Identifier: BSD-3-Clause
// One evaluation from edges to observables: the network forward, energies, the network in reverse,
// forces and virials.
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
  /// evaluator: of the model's network
  Engine(const ModelSpec& model, std::unique_ptr<kernels::AnyEvaluator> evaluator);

  /// As Potential::evaluate.
  const Observables& evaluate(const EdgeList& edges, HaloExchange& halo, Wanted wanted);

  /// As Potential::evaluate_each.
  const PackedObservables& evaluate_each(const EdgeList& edges, Wanted wanted);

  /// The first half of evaluate(): the model's energies and gradients, from which observables are
  /// computed.
  const Outputs& outputs_of(const EdgeList& edges, HaloExchange& halo, Wanted wanted);

  /// As Potential::evaluate of neighbors on the device.
  const ResultsOnDevice&
  evaluate(const NeighborsOnDevice& neighbors, HaloExchange& halo, Wanted wanted);

  /// As Potential::evaluate of neighbors on the host.
  const Observables& evaluate(const NeighborsOnHost& neighbors, HaloExchange& halo, Wanted wanted);

  /// [n_species] eV, as Potential::free_atom_energies.
  std::vector<double> free_atom_energies();

  /// Makes later energies relative to free atoms.
  void leave_out_free_atoms() { energies_.set_zero(free_atom_energies()); }

  int concurrency() const { return evaluator_->concurrency(); }

  /// Of the evaluator, and of the results here.
  std::size_t bytes_used() const;

private:
  bool with_gradient(Wanted wanted) const {
    return forces_ == ForceKind::Gradient && (wanted.forces || wanted.virial || wanted.atom_virial);
  }

  /// The step of neighbors that take() brings; of this rank's atoms.
  struct Counts {
    std::int32_t n_centers, n_nodes;
  };

  template <class Take> const ResultsOnDevice&
  evaluate_taken(Counts counts, const Take& take, HaloExchange& halo, Wanted wanted);

  /// Checks the edges against the model and allocates all memory of a step except for observables.
  void take(const EdgeList& edges, Wanted wanted);

  ForceKind forces_;
  std::size_t n_species_;
  double cutoff_; ///< Angstrom
  Energies energies_;
  std::unique_ptr<kernels::AnyEvaluator> evaluator_;
  Outputs outputs_;
  std::vector<double> seed_; ///< [n_centers] dE/d(network's energy of an atom)
  Observables observables_;
  PackedObservables packed_;
};

} // namespace eqnn::engine
