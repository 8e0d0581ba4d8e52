// SPDX-License-Identifier: BSD-3-Clause
// The same model on every execution space of this build, at every precision.
#pragma once

#include "engine/fold_edges.hpp"
#include "kernels/any_evaluator.hpp"
#include "kernels/plan_options.hpp"
#include "model/model_spec.hpp"
#include "plan/compile.hpp"
#include "self_test/self_test.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace eqnn::test {

/// For structures without ghosts: periodic images are edges.
class NoExchange final : public HaloExchange {
public:
  void forward(NodeRows<double>) override {}

  void forward(NodeRows<float>) override {}

  void reverse(NodeRows<double>) override {}

  void reverse(NodeRows<float>) override {}
};

struct Target {
  kernels::Space space;
  Precision precision;

  std::string name() const {
    return std::string(kernels::name_of(space)) + "_" + std::string(name_of(precision));
  }
};

inline std::vector<Target> all_targets() {
  std::vector<Target> targets;
  for (const auto space : kernels::available_spaces()) {
    for (const auto precision : {Precision::Double, Precision::Mixed, Precision::Single}) {
      targets.push_back({space, precision});
    }
  }
  return targets;
}

/// The evaluators of one model. A plan is compiled once for double and once for float: the tables take most of a test's time.
class Evaluators {
public:
  explicit Evaluators(const ModelSpec& model)
      : model_(model) {}

  std::unique_ptr<kernels::AnyEvaluator> make(const Target& target) {
    auto& plan = target.precision == Precision::Double ? for_double_ : for_float_;
    if (!plan) {
      plan = plan::compile(model_, kernels::plan_options(target.precision));
    }
    return kernels::make_evaluator(*plan, target.precision, target.space);
  }

private:
  const ModelSpec& model_;
  std::optional<plan::Plan> for_double_, for_float_;
};

inline Outputs run(kernels::AnyEvaluator& evaluator, const EdgeList& edges) {
  NoExchange halo;
  Outputs outputs;
  evaluator.evaluate(edges, halo, outputs, false);
  return outputs;
}

} // namespace eqnn::test
