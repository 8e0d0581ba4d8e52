// SPDX-License-Identifier: BSD-3-Clause
// A plan on a device: its tables, and each stage with its weights.
#pragma once

#include "base/stages.hpp"
#include "base/variant_of.hpp"
#include "kernels/all_stages.hpp"
#include "kernels/context.hpp"

#include <utility>
#include <variant>
#include <vector>

namespace eqnn::kernels {

/// Every alternative is constructed from its stage of the plan. Its member functions, none with a
/// default, state what the evaluator must know about it; see kernels/stages.
///   void forward(const Context<S>&) const
///   void adjoint(const Context<S>&) const
///                       adds to, or overwrites, dE/d(each input)
///   std::int32_t message_width(const DeviceTables<S>&) const
///                       scalars of a message that waits for its source; 0: no message waits
#define EQNN_STAGE_TYPE(Type, name) , Type##Stage<S>
template <class S> using DeviceStage = VariantOf<void EQNN_PLAN_STAGES(EQNN_STAGE_TYPE)>;
#undef EQNN_STAGE_TYPE

template <class S> struct DevicePlan {
  plan::Plan plan; ///< wiring and buffers; its tables and stages have been emptied
  DeviceTables<S> tables;
  std::vector<DeviceStage<S>> stages;
  /// per stage: the inputs whose rows it reads on ghosts
  std::vector<std::vector<plan::ValueId>> read_on_ghosts;

  explicit DevicePlan(plan::Plan host)
      : plan(std::move(host))
      , tables(plan) {
    for (auto& stage : plan.stages) {
      read_on_ghosts.push_back(std::visit([](const auto& s) { return s.read_on_ghosts(); }, stage));
      std::visit([&](auto& op) { add(std::move(op)); }, stage);
    }
    plan.stages.clear();
  }

  /// Scalars of the widest message that waits for its source.
  std::int32_t widest_message() const {
    std::int32_t widest = 0;
    for (const auto& stage : stages) {
      widest = std::max(widest,
                        std::visit([&](const auto& s) { return s.message_width(tables); }, stage));
    }
    return widest;
  }

private:
#define EQNN_ADD(Type, name)                                                                       \
  void add(plan::Type&& op) {                                                                      \
    stages.emplace_back(std::in_place_type<Type##Stage<S>>, std::move(op), tables);                \
  }
  EQNN_PLAN_STAGES(EQNN_ADD)
#undef EQNN_ADD
};

/// A network and the data it works on. Its kernels are compiled here once, for the evaluator and
/// for the probe. Whatever is called from a single place is inlined there.
template <class S> struct DeviceNetwork {
  DevicePlan<S> plan;
  Context<S> context;

  explicit DeviceNetwork(plan::Plan host)
      : plan(std::move(host))
      , context(plan.tables, plan.plan.buffers) {
    context.set_widest_message(plan.widest_message());
  }

  /// Not copyable: context refers to plan.
  DeviceNetwork(const DeviceNetwork&) = delete;
  DeviceNetwork& operator=(const DeviceNetwork&) = delete;

  [[gnu::noinline]] void forward(std::size_t stage) {
    std::visit([&](const auto& s) { s.forward(context); }, plan.stages[stage]);
  }

  [[gnu::noinline]] void adjoint(std::size_t stage) {
    std::visit([&](const auto& s) { s.adjoint(context); }, plan.stages[stage]);
  }
};

} // namespace eqnn::kernels
