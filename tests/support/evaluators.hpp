// SPDX-License-Identifier: BSD-3-Clause
// The same model on every execution space of this build, at every precision.
#pragma once

#include "engine/engine.hpp"
#include "engine/fold_edges.hpp"
#include "engine/observe.hpp"
#include "kernels/any_evaluator.hpp"
#include "kernels/plan_options.hpp"
#include "model/model_spec.hpp"
#include "plan/compile.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace eqnn::test {

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

inline std::unique_ptr<engine::Engine>
make_engine(const ModelSpec& model, const plan::Plan& plan, const Target& target) {
  return std::make_unique<engine::Engine>(
      model, kernels::make_evaluator(plan, target.precision, target.space));
}

/// The engines of one model. A plan is compiled once for double and once for float, and again where a
/// device's tables have another degree: they take most of a test's time.
class Evaluators {
public:
  explicit Evaluators(const ModelSpec& model)
      : model_(model) {}

  std::unique_ptr<engine::Engine> make(const Target& target) {
    const plan::Options options = kernels::plan_options(target.precision, target.space);
    const auto key = std::make_pair(options.scalar_bytes, options.radial_degree);
    if (plans_.count(key) == 0) {
      plans_.emplace(key, plan::compile(model_, options));
    }
    return make_engine(model_, plans_.at(key), target);
  }

private:
  const ModelSpec& model_;
  std::map<std::pair<std::int32_t, std::int32_t>, plan::Plan>
      plans_; ///< by bytes of a scalar, degree
};

/// Energies and edge gradients.
inline Outputs run(engine::Engine& engine, const EdgeList& edges, HaloExchange& halo) {
  return engine.outputs_of(edges, halo, {});
}

inline Outputs run(engine::Engine& engine, const EdgeList& edges) {
  NoHalo halo;
  return run(engine, edges, halo);
}

inline Observables
properties_of(const ModelSpec& model, const EdgeList& edges, const Outputs& outputs) {
  Observables observables;
  engine::observe(edges, outputs, model.forces, {true, true, true}, observables);
  return observables;
}

} // namespace eqnn::test
