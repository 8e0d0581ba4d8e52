// SPDX-License-Identifier: BSD-3-Clause
#include "engine/engine.hpp"

#include "base/error.hpp"
#include "engine/observe.hpp"
#include "engine/require_finite.hpp"

#include <numeric>
#include <string>
#include <utility>

namespace eqnn::engine {
namespace {

/// For isolated atoms: each atom is a system of its own, so the number of atoms is 1.
class EachAlone final : public NoHalo {
public:
  double sum(double /*term*/) override { return 1.0; }
};

std::string no_memory_for(std::int32_t n_nodes, const std::string& edges) {
  return "not enough memory for " + std::to_string(n_nodes) + " atoms and " + edges +
         " on this rank: use more ranks on more machines, or single precision";
}

/// A mean energy per atom over several structures would not be the mean of any one of them.
void require_one_structure(const EdgeList& edges) {
  if (!edges.structures.empty()) {
    fail("the edges belong to ",
         edges.structures.size() - 1,
         " packed structures, expected one structure.\nCall Potential::evaluate_each() for packed "
         "structures.");
  }
}

void require_packed(const EdgeList& edges) {
  if (edges.structures.empty()) {
    fail("EdgeList::structures is empty, expected packed structures.\nPack structures with "
         "append_structure().");
  }
}

} // namespace

Engine::Engine(const ModelSpec& model, std::unique_ptr<kernels::AnyEvaluator> evaluator)
    : forces_(model.forces)
    , n_species_(model.species.size())
    , cutoff_(model.cutoff)
    , energies_(model.energy)
    , evaluator_(std::move(evaluator)) {}

const Observables& Engine::evaluate(const EdgeList& edges, HaloExchange& halo, Wanted wanted) {
  observe(edges, outputs_of(edges, halo, wanted), forces_, wanted, observables_);
  return observables_;
}

const Outputs& Engine::outputs_of(const EdgeList& edges, HaloExchange& halo, Wanted wanted) {
  const auto agree = [&](const auto& body) {
    halo.agree(failure_of(
        [&] { return no_memory_for(edges.n_nodes, std::to_string(edges.n_edges()) + " edges"); },
        body));
  };
  // All memory is allocated here. A rank that fails reports it before the others wait for it.
  agree([&] {
    require_one_structure(edges);
    take(edges, wanted);
    engine::reserve(edges.n_centers, edges.n_nodes, wanted, observables_);
  });
  const double factor = energies_.are_means() ? halo.sum(edges.n_centers) : 1.0;
  evaluator_->forward(halo, outputs_);
  energies_.apply(edges, factor, outputs_, seed_);
  outputs_.edge_gradient.clear();
  if (with_gradient(wanted)) {
    evaluator_->reverse(halo, seed_, outputs_);
  }
  // Check only now: until here, the other ranks wait for this rank's exchanges, even if it failed.
  agree([&] { require_finite(edges, outputs_, halo); });
  return outputs_;
}

const PackedObservables& Engine::evaluate_each(const EdgeList& edges, Wanted wanted) {
  const std::string failure = failure_of(
      [&] { return no_memory_for(edges.n_nodes, std::to_string(edges.n_edges()) + " edges"); },
      [&] {
        require_packed(edges);
        take(edges, wanted);
        NoHalo halo;
        evaluator_->forward(halo, outputs_);
        energies_.apply_each(edges, outputs_, seed_);
        outputs_.edge_gradient.clear();
        if (with_gradient(wanted)) {
          evaluator_->reverse(halo, seed_, outputs_);
        }
        observe_each(edges, outputs_, forces_, wanted, packed_);
      });
  if (!failure.empty()) {
    fail(failure);
  }
  return packed_;
}

template <class Take> const ResultsOnDevice&
Engine::evaluate_taken(Counts counts, const Take& take, HaloExchange& halo, Wanted wanted) {
  if (forces_ == ForceKind::Direct) {
    fail("direct forces are computed on the host. Pass an EdgeList.");
  }
  const bool with_gradient = this->with_gradient(wanted);
  const auto agree = [&](const auto& body) {
    halo.agree(failure_of([&] { return no_memory_for(counts.n_nodes, "their edges"); }, body));
  };
  agree(take);
  const double factor = energies_.are_means() ? halo.sum(counts.n_centers) : 1.0;
  evaluator_->forward(halo, energies_.on_device(factor));
  if (with_gradient) {
    evaluator_->reverse(halo);
  }
  agree([&] {
    if (evaluator_->has_bad_results(with_gradient)) {
      EdgeList edges;
      Outputs outputs;
      evaluator_->look(with_gradient, edges, outputs);
      require_finite(edges, outputs, halo);
    }
  });
  return evaluator_->fold(wanted);
}

const ResultsOnDevice&
Engine::evaluate(const NeighborsOnDevice& neighbors, HaloExchange& halo, Wanted wanted) {
  return evaluate_taken(
      {neighbors.n_centers, neighbors.n_nodes},
      [&] { evaluator_->take(neighbors, n_species_, wanted); },
      halo,
      wanted);
}

const Observables&
Engine::evaluate(const NeighborsOnHost& neighbors, HaloExchange& halo, Wanted wanted) {
  evaluate_taken(
      {neighbors.n_centers, neighbors.n_nodes},
      [&] {
        for (std::int32_t node = 0; node < neighbors.n_nodes; ++node) {
          const std::int32_t species = neighbors.species[node];
          if (species < 0 || static_cast<std::size_t>(species) >= n_species_) {
            fail("the species of node ",
                 node,
                 " is ",
                 species,
                 ", expected 0 to ",
                 n_species_ - 1,
                 ".\nCheck the neighbor list.");
          }
        }
        evaluator_->take(evaluator_->bring(neighbors), n_species_, wanted);
        engine::reserve(neighbors.n_centers, neighbors.n_nodes, wanted, observables_);
      },
      halo,
      wanted);
  evaluator_->copy_results(wanted, observables_);
  return observables_;
}

void Engine::take(const EdgeList& edges, Wanted wanted) {
  require_fitting(edges, n_species_, cutoff_);
  evaluator_->take(edges);
  const auto n_centers = static_cast<std::size_t>(edges.n_centers);
  outputs_.energy.reserve(n_centers);
  outputs_.edge_gradient.reserve(with_gradient(wanted) ? 3 * edges.source.size() : 0);
  outputs_.direct_forces.reserve(forces_ == ForceKind::Direct ? 3 * n_centers : 0);
  seed_.reserve(n_centers);
}

std::vector<double> Engine::free_atom_energies() {
  if (!energies_.zero().empty()) {
    return energies_.zero();
  }
  EdgeList edges;
  edges.n_centers = edges.n_nodes = static_cast<std::int32_t>(n_species_);
  edges.species.resize(n_species_);
  std::iota(edges.species.begin(), edges.species.end(), 0);
  edges.begin.assign(n_species_ + 1, 0);
  EachAlone halo;
  return evaluate(edges, halo, {false, false, false}).atom_energy;
}

std::size_t Engine::bytes_used() const {
  std::size_t n_doubles = 0;
  for (const auto* numbers : {&outputs_.energy,
                              &outputs_.edge_gradient,
                              &outputs_.direct_forces,
                              &seed_,
                              &observables_.atom_energy,
                              &observables_.forces,
                              &observables_.atom_virial,
                              &packed_.energy,
                              &packed_.atom_energy,
                              &packed_.forces,
                              &packed_.virial,
                              &packed_.atom_virial}) {
    n_doubles += numbers->capacity();
  }
  return evaluator_->bytes_used() + n_doubles * sizeof(double);
}

} // namespace eqnn::engine
