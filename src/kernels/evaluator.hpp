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
        exchange(halo, context_.value(v), [&](NodeRows<Scalar> rows) { halo.forward(rows); });
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
        exchange(halo, context_.adjoint(v), [&](NodeRows<Scalar> rows) { halo.reverse(rows); });
      }
    }
    collect(context_.end_adjoint(), 3 * context_.edges().n_edges, outputs.edge_gradient);
  }

  std::size_t bytes_used() const override { return context_.bytes_used(); }

  int concurrency() const override { return context_.space().concurrency(); }

private:
  template <class T> using HostView =
      Kokkos::View<T*, Kokkos::HostSpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>;

  template <class Move>
  void exchange(const HaloExchange& halo, const Rows<Scalar>& x, const Move& move) {
    if (!halo.exchanges()) {
      return;
    }
    const std::int64_t n = std::int64_t{context_.edges().n_nodes} * x.width();
    if constexpr (S::kOnHost) {
      context_.space().fence("eqnn::exchange");
      move(NodeRows<Scalar>{x.data, x.width()});
    } else {
      const Kokkos::View<Scalar*, typename S::Memory> device(x.data, static_cast<std::size_t>(n));
      const auto host = Kokkos::subview(context_.halo_rows(), std::make_pair(std::int64_t{0}, n));
      Kokkos::deep_copy(host, device);
      move(NodeRows<Scalar>{host.data(), x.width()});
      Kokkos::deep_copy(device, host);
    }
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
