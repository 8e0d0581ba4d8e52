// SPDX-License-Identifier: BSD-3-Clause
// The page to read first: all stages of a network, forward, then in reverse, and what crosses the borders
// between ranks. What a stage computes stands in kernels/stages, with formulas in docs/spec/.
#pragma once

#include "base/error.hpp"
#include "kernels/any_evaluator.hpp"
#include "kernels/context.hpp"
#include "kernels/device_plan.hpp"

#include <algorithm>
#include <cmath>
#include <exception>
#include <new>
#include <string>

namespace eqnn::kernels {

template <class S> class Evaluator final : public AnyEvaluator {
public:
  using Scalar = typename S::Scalar;

  explicit Evaluator(const plan::Plan& plan)
      : plan_(plan)
      , context_(plan_.tables, plan_.plan.buffers) {
    context_.set_widest_message(plan_.widest_message());
  }

  void
  evaluate(const EdgeList& edges, HaloExchange& halo, Outputs& outputs, bool energy_only) override {
    halo_ = &halo;
    // What a rank cannot do it says before the others wait for it. All memory is taken here.
    halo_->agree(failure_of(edges, [&] {
      context_.bring(edges);
      outputs.energy.reserve(static_cast<std::size_t>(edges.n_centers));
      outputs.edge_gradient.reserve(energy_only ? 0 : 3 * edges.source.size());
      if (context_.has_bad_edges()) {
        require_sound_edges(edges);
      }
    }));
    forward(outputs.direct_forces);
    collect_energies(edges, outputs);
    outputs.edge_gradient.clear();
    if (!energy_only && !plan_.plan.direct_forces) {
      collect_gradient(edges, reverse(), outputs);
    }
    // Only now: the others wait for this rank's exchanges, whatever it found.
    halo_->agree(failure_of(edges, [&] { require_finite(edges, outputs); }));
  }

  std::size_t bytes_used() const override { return context_.bytes_used(); }

  int concurrency() const override { return context_.space().concurrency(); }

private:
  void forward(std::vector<double>& direct_forces) {
    context_.begin_forward(direct_forces);
    for (std::size_t k = 0; k < plan_.stages.size(); ++k) {
      for (const plan::ValueId v : plan_.read_on_ghosts[k]) {
        exchange_forward(context_.value(v));
      }
      std::visit([&](const auto& stage) { stage.forward(context_); }, plan_.stages[k]);
    }
  }

  /// dE/d(edge vector), from what the stages of a forward evaluation left.
  const Array<S, double>& reverse() {
    context_.begin_adjoint();
    for (std::size_t k = plan_.stages.size(); k-- > 0;) {
      std::visit([&](const auto& stage) { stage.adjoint(context_); }, plan_.stages[k]);
      for (const plan::ValueId v : plan_.read_on_ghosts[k]) {
        exchange_reverse(context_.adjoint(v));
      }
    }
    return context_.end_adjoint();
  }

  // ---- the halo ----

  void exchange_forward(const Rows<Scalar>& x) {
    exchange(x, [&](NodeRows<Scalar> host) { halo_->forward(host); });
  }

  void exchange_reverse(const Rows<Scalar>& x) {
    exchange(x, [&](NodeRows<Scalar> host) { halo_->reverse(host); });
  }

  template <class Move> void exchange(const Rows<Scalar>& x, const Move& move) {
    context_.space().fence("eqnn::exchange");
    Kokkos::View<Scalar*, typename S::Memory> device(
        x.data,
        static_cast<std::size_t>(context_.edges().n_nodes) * static_cast<std::size_t>(x.width()));
    const auto host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), device);
    move(NodeRows<Scalar>{host.data(), x.width()});
    Kokkos::deep_copy(device, host);
  }

  // ---- energies and gradients out ----

  /// What body throws, as a sentence; empty if it throws nothing.
  template <class Body> static std::string failure_of(const EdgeList& edges, const Body& body) {
    try {
      body();
    } catch (const std::bad_alloc&) {
      return "not enough memory for " + std::to_string(edges.n_nodes) + " atoms and " +
             std::to_string(edges.n_edges()) +
             " edges on this rank: use more ranks on more machines, or single precision";
    } catch (const std::exception& error) {
      return error.what();
    }
    return "";
  }

  /// Energies of atoms, and their derivative by what the readouts gave.
  void collect_energies(const EdgeList& edges, Outputs& outputs) {
    const auto energy = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), context_.energy());
    const auto seed = Kokkos::create_mirror_view(context_.seed());
    outputs.energy.resize(static_cast<std::size_t>(edges.n_centers));
    for (std::int32_t i = 0; i < edges.n_centers; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const bool zeroed =
          plan_.plan.isolated_atoms_are_zero && edges.begin[at] == edges.begin[at + 1];
      const auto species = static_cast<std::size_t>(edges.species[at]);
      seed(at) = zeroed ? 0.0 : plan_.plan.energy_scale[species];
      outputs.energy[at] = (zeroed ? 0.0 : plan_.plan.energy_scale[species] * energy(at)) +
                           plan_.plan.atom_energy[species];
      if (zeroed && !outputs.direct_forces.empty()) {
        std::fill_n(outputs.direct_forces.begin() + 3 * std::ptrdiff_t{i}, 3, 0.0);
      }
    }
    Kokkos::deep_copy(context_.seed(), seed);
  }

  /// Throws Error for the first result that is not finite.
  void require_finite(const EdgeList& edges, const Outputs& outputs) const {
    const auto require = [](double number, const auto&... what) {
      if (!std::isfinite(number)) {
        fail(what...,
             " is ",
             number,
             ", expected a finite number.\nThe structure is far outside the training data, or the "
             "precision too low: try precision double.");
      }
    };
    for (std::size_t i = 0; i < outputs.energy.size(); ++i) {
      require(outputs.energy[i], "the energy of ", halo_->name_of(static_cast<std::int32_t>(i)));
    }
    for (std::size_t k = 0; k < outputs.direct_forces.size(); ++k) {
      require(outputs.direct_forces[k],
              "the direct force on ",
              halo_->name_of(static_cast<std::int32_t>(k / 3)));
    }
    for (std::size_t k = 0; k < outputs.edge_gradient.size(); ++k) {
      require(outputs.edge_gradient[k],
              "the energy gradient of an edge to ",
              halo_->name_of(edges.source[k / 3]));
    }
  }

  static void
  collect_gradient(const EdgeList& edges, const Array<S, double>& on_device, Outputs& outputs) {
    const auto gradient = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), on_device);
    outputs.edge_gradient.resize(static_cast<std::size_t>(3 * edges.n_edges()));
    for (std::size_t k = 0; k < outputs.edge_gradient.size(); ++k) {
      outputs.edge_gradient[k] = gradient(k);
    }
  }

  DevicePlan<S> plan_;
  Context<S> context_;
  HaloExchange* halo_ = nullptr;
};

} // namespace eqnn::kernels
