// SPDX-License-Identifier: BSD-3-Clause
// The page to read first: all stages of a network, forward, then in reverse, and what crosses the borders
// between ranks. What a stage computes stands in kernels/stages, with formulas in docs/spec/.
#pragma once

#include "kernels/any_evaluator.hpp"
#include "kernels/device_plan.hpp"

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace eqnn::kernels {

template <class S> class Evaluator final : public AnyEvaluator {
public:
  using Scalar = typename S::Scalar;

  explicit Evaluator(const plan::Plan& plan)
      : network_(plan) {}

  void take(const EdgeList& edges) override {
    context_.bring(edges);
    if (context_.has_bad_edges()) {
      require_sound_edges(edges);
    }
  }

  void forward(HaloExchange& halo, Outputs& outputs) override {
    context_.begin_forward(outputs.direct_forces);
    for (std::size_t k = 0; k < plan_.stages.size(); ++k) {
      for (const plan::ValueId v : plan_.read_on_ghosts[k]) {
        exchange(context_.value(v), [&](NodeRows<Scalar> host) { halo.forward(host); });
      }
      network_.forward(k);
    }
    collect(context_.energy(), context_.n_centers(), outputs.energy);
  }

  void reverse(HaloExchange& halo, const std::vector<double>& seed, Outputs& outputs) override {
    Kokkos::deep_copy(first_of(context_.seed(), seed.size()),
                      HostView<const double>(seed.data(), seed.size()));
    context_.begin_adjoint();
    for (std::size_t k = plan_.stages.size(); k-- > 0;) {
      network_.adjoint(k);
      for (const plan::ValueId v : plan_.read_on_ghosts[k]) {
        exchange(context_.adjoint(v), [&](NodeRows<Scalar> host) { halo.reverse(host); });
      }
    }
    collect(context_.end_adjoint(), 3 * context_.edges().n_edges, outputs.edge_gradient);
  }

  std::size_t bytes_used() const override { return context_.bytes_used(); }

  int concurrency() const override { return context_.space().concurrency(); }

private:
  template <class T> using HostView =
      Kokkos::View<T*, Kokkos::HostSpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>;

  template <class Move> void exchange(const Rows<Scalar>& x, const Move& move) {
    context_.space().fence("eqnn::exchange");
    Kokkos::View<Scalar*, typename S::Memory> device(
        x.data,
        static_cast<std::size_t>(context_.edges().n_nodes) * static_cast<std::size_t>(x.width()));
    const auto host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), device);
    move(NodeRows<Scalar>{host.data(), x.width()});
    Kokkos::deep_copy(device, host);
  }

  /// Arrays have room to spare.
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
};

} // namespace eqnn::kernels
