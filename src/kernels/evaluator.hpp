// SPDX-License-Identifier: BSD-3-Clause
// The page to read first: all stages of a network, forward and then in reverse, and the exchanges
// between ranks. What each stage computes is in kernels/stages, with formulas in docs/spec/.
#pragma once

#include "base/error.hpp"
#include "kernels/any_evaluator.hpp"
#include "kernels/device_fold.hpp"
#include "kernels/device_plan.hpp"
#include "kernels/neighbors_brought.hpp"

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace eqnn::kernels {

template <class S> class Evaluator final : public AnyEvaluator {
public:
  using Scalar = typename S::Scalar;

  explicit Evaluator(plan::Plan plan)
      : network_(std::move(plan)) {}

  void take(const EdgeList& edges) override {
    context_.bring(edges);
    if (context_.has_bad_edges()) {
      require_sound_edges(edges);
    }
    plan_.tables.make_pairs(context_.space(), context_.edges());
  }

  void forward(HaloExchange& halo, Outputs& outputs) override {
    run_forward(halo, outputs.direct_forces);
    collect(context_.energy(), context_.n_centers(), outputs.energy);
  }

  void reverse(HaloExchange& halo, const std::vector<double>& seed, Outputs& outputs) override {
    Kokkos::deep_copy(first_of(context_.seed(), seed.size()),
                      HostView<const double>(seed.data(), seed.size()));
    collect(run_reverse(halo), 3 * context_.edges().n_edges, outputs.edge_gradient);
  }

  NeighborsOnDevice bring(const NeighborsOnHost& neighbors) override {
    return neighbors_.bring(context_.space(), neighbors);
  }

  void take(const NeighborsOnDevice& neighbors, std::size_t n_species, Wanted wanted) override {
    const std::int32_t n_bad = context_.bring(neighbors);
    fold_.reserve_for(context_.edges(), n_species, wanted);
    if (context_.has_bad_edges() || n_bad > 0) { // has_bad_edges() also computes the distances
      fail("two atoms coincide, or a position is not finite. Check the structure.");
    }
    plan_.tables.make_pairs(context_.space(), context_.edges());
  }

  void forward(HaloExchange& halo, const EnergyOfAtoms& meaning) override {
    run_forward(halo, no_direct_forces_);
    fold_.energies(context_.space(), context_.edges(), meaning, context_.energy(), context_.seed());
  }

  void reverse(HaloExchange& halo) override { gradient_ = run_reverse(halo); }

  bool has_bad_results(bool with_gradient) const override {
    const auto& space = context_.space();
    const std::int64_t n_numbers = with_gradient ? 3 * context_.edges().n_edges : 0;
    return DeviceFold<S>::count_bad(space, context_.energy(), context_.n_centers()) > 0 ||
           DeviceFold<S>::count_bad(space, gradient_, n_numbers) > 0;
  }

  void look(bool with_gradient, EdgeList& edges, Outputs& outputs) const override {
    const DeviceEdges<S>& mine = context_.edges();
    collect(context_.energy(), mine.n_centers, outputs.energy);
    collect(gradient_, with_gradient ? 3 * mine.n_edges : 0, outputs.edge_gradient);
    edges.source.resize(static_cast<std::size_t>(mine.n_edges));
    Kokkos::deep_copy(HostView<std::int32_t>(edges.source.data(), edges.source.size()),
                      mine.source);
  }

  const ResultsOnDevice& fold(Wanted wanted) override {
    const auto& space = context_.space();
    const DeviceEdges<S>& edges = context_.edges();
    fold_.fold_centers(space, edges, gradient_, wanted);
    context_.for_source_segments([&](const SourceSegments<S>* segments) {
      fold_.fold_sources(space, edges, gradient_, segments, wanted);
    });
    fold_.sum(space, edges, context_.energy(), gradient_, wanted, results_);
    return results_;
  }

  void copy_results(Wanted wanted, Observables& observables) const override {
    const std::int64_t n_nodes = context_.edges().n_nodes;
    observables.energy = results_.energy;
    observables.virial = results_.virial;
    collect(context_.energy(), context_.n_centers(), observables.atom_energy);
    collect(fold_.forces(), wanted.forces ? 3 * n_nodes : 0, observables.forces);
    collect(fold_.atom_virials(), wanted.atom_virial ? 9 * n_nodes : 0, observables.atom_virial);
  }

  std::size_t bytes_used() const override {
    return context_.bytes_used() + neighbors_.bytes() + fold_.bytes();
  }

  int concurrency() const override { return context_.space().concurrency(); }

private:
  template <class T> using HostView =
      Kokkos::View<T*, Kokkos::HostSpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>;

  void run_forward(HaloExchange& halo, std::vector<double>& direct_forces) {
    context_.begin_forward(direct_forces);
    for (std::size_t k = 0; k < plan_.stages.size(); ++k) {
      for (const plan::ValueId v : plan_.read_on_ghosts[k]) {
        exchange(halo, context_.value(v), [&](NodeRows<Scalar> rows) { halo.forward(rows); });
      }
      network_.forward(k);
    }
  }

  const Array<S, double>& run_reverse(HaloExchange& halo) {
    context_.begin_adjoint();
    for (std::size_t k = plan_.stages.size(); k-- > 0;) {
      network_.adjoint(k);
      for (const plan::ValueId v : plan_.read_on_ghosts[k]) {
        exchange(halo, context_.adjoint(v), [&](NodeRows<Scalar> rows) { halo.reverse(rows); });
      }
    }
    return context_.end_adjoint();
  }

  template <class Move>
  void exchange(const HaloExchange& halo, const Rows<Scalar>& x, const Move& move) {
    if (!halo.exchanges()) {
      return;
    }
    if (S::kOnHost || halo.takes_rows_on_device()) {
      context_.space().fence("eqnn::exchange");
      move(NodeRows<Scalar>{x.data, x.width()});
    } else {
      const std::int64_t n = std::int64_t{context_.edges().n_nodes} * x.width();
      const Kokkos::View<Scalar*, typename S::Memory> device(x.data, static_cast<std::size_t>(n));
      const auto host = Kokkos::subview(context_.halo_rows(), std::make_pair(std::int64_t{0}, n));
      Kokkos::deep_copy(host, device);
      move(NodeRows<Scalar>{host.data(), x.width()});
      Kokkos::deep_copy(device, host);
    }
  }

  /// The first n entries: arrays have room to spare.
  static auto first_of(const Array<S, double>& array, std::size_t n) {
    return Kokkos::subview(array, std::make_pair(std::size_t{0}, n));
  }

  static void collect(const Array<S, double>& from, std::int64_t n, std::vector<double>& to) {
    to.resize(static_cast<std::size_t>(n));
    Kokkos::deep_copy(HostView<double>(to.data(), to.size()), first_of(from, to.size()));
  }

  DeviceNetwork<S> network_;
  DevicePlan<S>& plan_ = network_.plan;
  Context<S>& context_ = network_.context;
  NeighborsBrought<S> neighbors_;
  DeviceFold<S> fold_;
  Array<S, double> gradient_;
  ResultsOnDevice results_;
  std::vector<double> no_direct_forces_;
};

} // namespace eqnn::kernels
