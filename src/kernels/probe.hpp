// SPDX-License-Identifier: BSD-3-Clause
// An evaluation taken apart: one stage at a time, between rows that the caller sets. For tests.
#pragma once

#include "kernels/any_evaluator.hpp"
#include "kernels/device_plan.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace eqnn::kernels {

template <class S> class ProbeOf final : public Probe {
public:
  using Scalar = typename S::Scalar;

  explicit ProbeOf(plan::Plan plan)
      : network_(std::move(plan)) {}

  void begin_forward(const EdgeList& edges) override {
    context_.bring(edges);
    network_.plan.tables.make_pairs(context_.space(), context_.edges());
    (void)context_.has_bad_edges(); // computes the distances
    context_.begin_forward(direct_forces_);
  }

  void forward(std::size_t stage) override { network_.forward(stage); }

  void begin_adjoint(const std::vector<double>& seed) override {
    context_.begin_adjoint();
    const auto host = Kokkos::create_mirror_view(context_.seed());
    for (std::size_t i = 0; i < seed.size(); ++i) {
      host(i) = seed[i];
    }
    Kokkos::deep_copy(context_.seed(), host);
  }

  void adjoint(std::size_t stage) override { network_.adjoint(stage); }

  std::vector<double> edge_gradient() override {
    return to_host(context_.end_adjoint(), 3 * context_.edges().n_edges);
  }

  std::vector<double> energy() const override {
    return to_host(context_.energy(), context_.n_centers());
  }

  std::vector<double> direct_forces() const override { return direct_forces_; }

  void set(plan::ValueId v, bool adjoint, const std::vector<double>& rows) override {
    const auto host = mirror(v, adjoint);
    std::fill_n(host.data(), host.size(), Scalar(0));
    std::size_t k = 0;
    for_entries(v, [&](std::int64_t at) { host(at) = static_cast<Scalar>(rows[k++]); });
    Kokkos::deep_copy(device_rows(v, adjoint), host);
  }

  std::vector<double> get(plan::ValueId v, bool adjoint) const override {
    const auto host = mirror(v, adjoint);
    std::vector<double> rows;
    for_entries(v, [&](std::int64_t at) { rows.push_back(static_cast<double>(host(at))); });
    return rows;
  }

private:
  Kokkos::View<Scalar*, typename S::Memory> device_rows(plan::ValueId v, bool adjoint) const {
    const Rows<Scalar> rows = adjoint ? context_.adjoint(v) : context_.value(v);
    return {rows.data,
            static_cast<std::size_t>(context_.n_centers()) *
                static_cast<std::size_t>(rows.width())};
  }

  /// A copy on the host, or the rows themselves if the device is the host.
  auto mirror(plan::ValueId v, bool adjoint) const {
    return Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), device_rows(v, adjoint));
  }

  /// Calls use(offset) for all entries except padding: node by node, block by block.
  template <class Use> void for_entries(plan::ValueId v, const Use& use) const {
    const DeviceTables<S>& tables = plan_.tables;
    const auto n_blocks = static_cast<std::int32_t>(tables.value(v).blocks.size());
    for (std::int64_t i = 0; i < context_.n_centers(); ++i) {
      for (std::int32_t b = 0; b < n_blocks; ++b) {
        const plan::Block& block = tables.block(v, b);
        for (std::int32_t m = 0; m < block.components; ++m) {
          for (std::int32_t c = 0; c < block.channels; ++c) {
            use(i * tables.pitch_of(v) + tables.first_of(v, b) +
                m * DeviceTables<S>::stride_of(block) + c);
          }
        }
      }
    }
  }

  template <class View> static std::vector<double> to_host(const View& view, std::int64_t n) {
    const auto host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), view);
    return {host.data(), host.data() + n};
  }

  DeviceNetwork<S> network_;
  DevicePlan<S>& plan_ = network_.plan;
  Context<S>& context_ = network_.context;
  std::vector<double> direct_forces_;
};

} // namespace eqnn::kernels
