// SPDX-License-Identifier: BSD-3-Clause
#include "plan/compile.hpp"

#include "plan/plan_builder.hpp"
#include "plan/table_cache.hpp"

#include <algorithm>

namespace eqnn::plan {
namespace {

/// The inputs of a stage, in the order in which its adjoint writes their gradients.
std::vector<Input*> inputs_of(Stage& stage) {
  auto inputs = std::visit([](auto& s) { return s.inputs(); }, stage);
  inputs.erase(std::remove_if(inputs.begin(),
                              inputs.end(),
                              [](const Input* in) { return in->value == kNoValue; }),
               inputs.end());
  return inputs;
}

ValueId output_of(const Stage& stage) {
  return std::visit([](const auto& s) { return s.output(); }, stage);
}

/// Optional input for a term to add, or null.
Input* residual_of(Stage& stage) {
  return std::visit([](auto& s) { return s.residual(); }, stage);
}

void set_output(Stage& stage, ValueId out) {
  std::visit([out](auto& s) { s.make(out); }, stage);
}

/// Values that the adjoint of the stage reads.
std::vector<ValueId> needed_by_adjoint(const Stage& stage) {
  return std::visit([](const auto& s) { return s.saved_for_adjoint(); }, stage);
}

/// The time during which a value or adjoint must stay in memory. Stage k runs forward at time k and
/// in reverse at time 2n - 1 - k.
struct Lifetime {
  std::int64_t begin = -1, end = -1;
  std::int64_t width = 0;
  bool on_ghosts = false;
  std::int32_t* buffer = nullptr;

  void touch(std::int64_t time) {
    begin = begin < 0 ? time : std::min(begin, time);
    end = std::max(end, time);
  }
};

/// Greedy coloring of the lifetimes, in order of their beginning.
void assign_buffers(std::vector<Lifetime> lifetimes, std::vector<Buffer>& buffers) {
  std::stable_sort(lifetimes.begin(), lifetimes.end(), [](const Lifetime& a, const Lifetime& b) {
    return a.begin < b.begin;
  });
  std::vector<std::int64_t> free_from; // for each buffer, the first time at which it is free
  for (const Lifetime& life : lifetimes) {
    std::size_t best = buffers.size();
    for (std::size_t b = 0; b < buffers.size(); ++b) {
      const bool fits = buffers[b].on_ghosts == life.on_ghosts && free_from[b] <= life.begin;
      const auto mismatch = [&](std::size_t k) { return std::abs(buffers[k].width - life.width); };
      if (fits && (best == buffers.size() || mismatch(b) < mismatch(best))) {
        best = b;
      }
    }
    if (best == buffers.size()) {
      buffers.push_back({0, life.on_ghosts});
      free_from.push_back(0);
    }
    buffers[best].width = std::max(buffers[best].width, life.width);
    free_from[best] = life.end + 1;
    *life.buffer = static_cast<std::int32_t>(best);
  }
}

} // namespace

void fuse_residuals(Plan& plan) {
  std::vector<int> n_uses(plan.values.size(), 0);
  for (Stage& stage : plan.stages) {
    for (const Input* in : inputs_of(stage)) {
      ++n_uses[static_cast<std::size_t>(in->value)];
    }
  }
  std::vector<Stage> fused;
  for (Stage& stage : plan.stages) {
    const auto* add = std::get_if<Add>(&stage);
    bool done = false;
    if (add != nullptr && add->blocks.empty()) {
      for (const auto& [term, other] :
           {std::pair{add->a.value, add->b.value}, std::pair{add->b.value, add->a.value}}) {
        const auto producer =
            std::find_if(fused.begin(), fused.end(), [&, t = term](const Stage& s) {
              return output_of(s) == t;
            });
        if (!done && producer != fused.end() && residual_of(*producer) != nullptr &&
            residual_of(*producer)->value == kNoValue &&
            n_uses[static_cast<std::size_t>(term)] == 1 && term != other) {
          Stage with_residual = std::move(*producer);
          *residual_of(with_residual) = {other, Write::Add};
          set_output(with_residual, add->out);
          // move it to the place of the addition, after the stages that compute the other term
          fused.erase(producer);
          fused.emplace_back(std::move(with_residual));
          done = true;
        }
      }
    }
    if (!done) {
      fused.push_back(std::move(stage));
    }
  }
  plan.stages = std::move(fused);
}

void schedule(Plan& plan, std::int32_t channel_multiple) {
  const auto n = static_cast<std::int64_t>(plan.stages.size());
  for (const Stage& stage : plan.stages) {
    for (const ValueId v : std::visit([](const auto& s) { return s.read_on_ghosts(); }, stage)) {
      plan.values[static_cast<std::size_t>(v)].on_ghosts = true;
    }
  }
  std::vector<Lifetime> values(plan.values.size());
  std::vector<Lifetime> adjoints(plan.values.size());
  for (std::size_t v = 0; v < plan.values.size(); ++v) {
    NodeValue& value = plan.values[v];
    const std::int64_t width = width_of(value, channel_multiple);
    values[v].width = adjoints[v].width = width;
    values[v].on_ghosts = adjoints[v].on_ghosts = value.on_ghosts;
    values[v].buffer = &value.buffer;
    adjoints[v].buffer = &value.adjoint_buffer;
  }
  for (std::int64_t k = 0; k < n; ++k) {
    Stage& stage = plan.stages[static_cast<std::size_t>(k)];
    if (const ValueId out = output_of(stage); out != kNoValue) {
      values[static_cast<std::size_t>(out)].touch(k);
    }
    for (const Input* in : inputs_of(stage)) {
      values[static_cast<std::size_t>(in->value)].touch(k);
    }
    for (const ValueId v : needed_by_adjoint(stage)) {
      values[static_cast<std::size_t>(v)].touch(2 * n - 1 - k);
    }
  }
  for (std::int64_t k = n; k-- > 0;) {
    Stage& stage = plan.stages[static_cast<std::size_t>(k)];
    if (const ValueId out = output_of(stage); out != kNoValue) {
      adjoints[static_cast<std::size_t>(out)].touch(2 * n - 1 - k);
    }
    for (Input* in : inputs_of(stage)) {
      Lifetime& adjoint = adjoints[static_cast<std::size_t>(in->value)];
      in->adjoint = adjoint.begin < 0 ? Write::Overwrite : Write::Add;
      adjoint.touch(2 * n - 1 - k);
    }
  }
  std::vector<Lifetime> all;
  for (const auto& lifetimes : {values, adjoints}) {
    std::copy_if(lifetimes.begin(),
                 lifetimes.end(),
                 std::back_inserter(all),
                 [](const Lifetime& life) { return life.begin >= 0; });
  }
  plan.buffers.clear();
  assign_buffers(all, plan.buffers);
}

Plan compile(const ModelSpec& model, const Options& options) {
  return compile(model, options, nullptr);
}

Plan compile(const ModelSpec& model, const Options& options, TableCache* cache) {
  Plan plan = PlanBuilder(model, options, cache).run();
  fuse_residuals(plan);
  schedule(plan, options.channel_multiple);
  return plan;
}

} // namespace eqnn::plan
