// SPDX-License-Identifier: BSD-3-Clause
// Every stage alone: the reference's adjoint against differences of its forward, the kernels against the
// reference, forward and adjoint.
#include "base/stages.hpp"
#include "model/cut_species.hpp"
#include "reference/network.hpp"
#include "stages/stage_case.hpp"
#include "support/compare.hpp"
#include "support/evaluators.hpp"
#include "support/playback.hpp"
#include "support/random_model.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <set>

namespace eqnn::test {

#define EQNN_CASES(Type, name) std::vector<StageCase> name##_cases();
EQNN_STAGES(EQNN_CASES, EQNN_CASES, EQNN_CASES)
#undef EQNN_CASES

namespace {

using reference::Network;
using reference::Value;

const std::vector<StageCase>& all_cases() {
  static const std::vector<StageCase> all = [] {
    std::vector<StageCase> list;
    const auto add = [&](const std::string& stage, std::vector<StageCase> cases) {
      for (StageCase& of_stage : cases) {
        of_stage.name = stage + "_" + of_stage.name;
        list.push_back(std::move(of_stage));
      }
    };
#define EQNN_CASES(Type, stage) add(#stage, stage##_cases());
    EQNN_STAGES(EQNN_CASES, EQNN_CASES, EQNN_CASES)
#undef EQNN_CASES
    return list;
  }();
  return all;
}

struct NamedStructure {
  std::string name;
  Structure structure;
};

std::vector<NamedStructure> structures() {
  const std::vector<std::int32_t> species{1, 6, 8};
  return {{"no atom", {}},
          {"one atom", {{6}, {{0.0, 0.0, 0.0}}, std::nullopt}},
          {"two atoms along the polar axis",
           {{6, 8}, {{0.0, 0.0, 0.0}, {0.0, 1.2, 0.0}}, std::nullopt}},
          {"33 atoms", random_structure(33, species, 0.06, 0.9, 3)}};
}

class StageTest : public testing::TestWithParam<std::size_t> {
protected:
  const StageCase& of_stage_ = all_cases()[GetParam()];
  const ModelSpec& model_ = of_stage_.model;
  const StageIndex last_ = static_cast<StageIndex>(model_.graph.size()) - 1;
  std::mt19937 random_{11};

  bool has_adjoint() const { return model_.graph.back().kind != ValueKind::Forces; }

  double normal() { return std::normal_distribution<double>()(random_); }

  /// Numbers for the entries that there are: a value's rows are as wide as its widest block.
  Value random_value(const Irreps& irreps, std::int64_t rows) {
    std::int32_t widest = 0;
    for (const IrrepsBlock& block : irreps) {
      widest = std::max(widest, block.channels);
    }
    Value value(rows, component_count(irreps), widest);
    for_entries(irreps, rows, [&](std::int64_t i, std::int32_t k, std::int32_t c) {
      value.at(i, k, c) = normal();
    });
    return value;
  }

  /// Node by node, block after block: how rows are laid out for kernels.
  template <class Use>
  static void for_entries(const Irreps& irreps, std::int64_t rows, const Use& use) {
    for (std::int64_t i = 0; i < rows; ++i) {
      for (std::size_t b = 0; b < irreps.size(); ++b) {
        const std::int32_t first = first_component(irreps, static_cast<std::int32_t>(b));
        for (std::int32_t m = 0; m < irreps[b].components(); ++m) {
          for (std::int32_t c = 0; c < irreps[b].channels; ++c) {
            use(i, first + m, c);
          }
        }
      }
    }
  }

  static std::vector<double> by_blocks(const Value& value, const Irreps& irreps) {
    std::vector<double> rows;
    for_entries(irreps, value.rows, [&](std::int64_t i, std::int32_t k, std::int32_t c) {
      rows.push_back(value.at(i, k, c));
    });
    return rows;
  }

  /// Of all stages before the one that is tested; those of edges are left empty.
  std::vector<Value> random_inputs(const EdgeList& edges) {
    std::vector<Value> values;
    for (StageIndex k = 0; k < last_; ++k) {
      const Stage& stage = model_.graph[static_cast<std::size_t>(k)];
      values.push_back(stage.kind == ValueKind::Features
                           ? random_value(stage.irreps, edges.n_centers)
                           : Value{});
      Value& made = values.back();
      for (std::int64_t row = 0; of_stage_.has_zeros && row < made.rows * made.components; ++row) {
        made.data[static_cast<std::size_t>(row * made.channels)] = 0.0;
      }
    }
    return values;
  }

  /// Of the size of the output.
  Value random_like(const Value& output) {
    const Stage& stage = model_.graph.back();
    if (stage.kind == ValueKind::Features) {
      return random_value(stage.irreps, output.rows);
    }
    Value value = output;
    for (double& v : value.data) {
      v = normal();
    }
    return value;
  }
};

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0.0;
  for (std::size_t k = 0; k < a.size(); ++k) {
    sum += a[k] * b[k];
  }
  return sum;
}

/// <v, J u> = <J^T v, u>, with J u by differences: a sweep of steps shows the V of truncation and rounding.
TEST_P(StageTest, ReferenceAdjointIsTheTransposedDerivative) {
  if (!has_adjoint()) {
    return; // its output is no value that others read
  }
  const EdgeList edges = edges_of(model_, random_structure(6, {1, 6, 8}, 0.08, 0.9, 4));
  const std::vector<Value> inputs = random_inputs(edges);
  std::vector<Value> directions = random_inputs(edges);
  std::vector<double> vector_direction(edges.vector.size());
  for (double& v : vector_direction) {
    v = normal();
  }
  Network network(model_, edges);
  const Value v = random_like(network.forward_alone(last_, inputs));
  const std::vector<Value> adjoints = network.adjoint_alone(last_, v);
  double expected = dot(network.outputs().edge_gradient, vector_direction);
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    if (model_.graph[k].kind == ValueKind::Features) {
      expected += dot(adjoints[k].data, directions[k].data);
    }
  }
  const auto along = [&](double step) {
    EdgeList moved = edges;
    std::vector<Value> values = inputs;
    for (std::size_t k = 0; k < moved.vector.size(); ++k) {
      moved.vector[k] += step * vector_direction[k];
    }
    for (std::size_t k = 0; k < values.size(); ++k) {
      for (std::size_t n = 0; n < values[k].data.size(); ++n) {
        values[k].data[n] += step * directions[k].data[n];
      }
    }
    return dot(Network(model_, moved).forward_alone(last_, values).data, v.data);
  };
  double best = std::numeric_limits<double>::infinity();
  for (const double step : {1e-2, 1e-3, 1e-4, 1e-5, 1e-6}) {
    const double error = std::abs((along(step) - along(-step)) / (2.0 * step) - expected);
    best = std::min(best, error / std::max(1.0, std::abs(expected)));
  }
  EXPECT_LE(best, 1e-8); // NaN fails
}

/// y = x f(|x|) is y = x f(0) there, whatever the slope of f.
TEST(NormActivationStage, TheDerivativeIsFiniteWhereFeaturesVanish) {
  const auto derivative = [](const std::function<StageIndex(GraphBuilder&)>& make) {
    const ModelSpec model = one_stage("zero", Parity::O3, 3, make).model;
    const EdgeList edges = edges_of(model, {{6}, {{0.0, 0.0, 0.0}}, std::nullopt});
    Network network(model, edges);
    const std::vector<Value> inputs{Value(1, 3, 2)};
    const Value output = network.forward_alone(1, inputs);
    EXPECT_EQ(output.data, std::vector<double>(6, 0.0));
    Value v(1, 3, 2);
    std::fill(v.data.begin(), v.data.end(), 1.0);
    const std::vector<double> found = network.adjoint_alone(1, v).front().data;
    EXPECT_EQ(found, std::vector<double>(6, found.front()));
    return found.front();
  };
  const auto of_function = [&](Activation function) {
    return derivative([function](GraphBuilder& b) {
      return b.norm_activation(b.input({{1, true, 2}}), function);
    });
  };
  // Norms count as 1e-8: terms of this size are right.
  EXPECT_NEAR(of_function(Activation::Silu), 0.5, 1e-8);
  EXPECT_NEAR(of_function(Activation::Tanh), 1.0, 1e-8);
  EXPECT_NEAR(of_function(Activation::ShiftedSoftplus), 0.5, 1e-8);
  EXPECT_EQ(derivative(
                [](GraphBuilder& b) { return b.soft_normalization(b.input({{1, true, 2}}), 0.8); }),
            1.0);
}

/// A stage that forgets a table of species gives an element the weights of another.
TEST_P(StageTest, AModelCutToSomeElementsGivesTheSameBits) {
  const std::vector<std::int32_t> kept{6, 8}; // not the first
  const ModelSpec cut = cut_species(model_, kept);
  const Structure structure = random_structure(6, kept, 0.08, 0.9, 4);
  const EdgeList edges = edges_of(model_, structure);
  const EdgeList edges_of_cut = edges_of(cut, structure);
  const std::vector<Value> inputs = random_inputs(edges);
  Network whole_network(model_, edges);
  Network cut_network(cut, edges_of_cut);
  const Value output = whole_network.forward_alone(last_, inputs);
  EXPECT_EQ(cut_network.forward_alone(last_, inputs).data, output.data);
  EXPECT_EQ(cut_network.outputs().direct_forces, whole_network.outputs().direct_forces);
  if (!has_adjoint()) {
    return;
  }
  const Value v = random_like(output);
  const std::vector<Value> expected = whole_network.adjoint_alone(last_, v);
  const std::vector<Value> found = cut_network.adjoint_alone(last_, v);
  for (std::size_t k = 0; k < expected.size(); ++k) {
    EXPECT_EQ(found[k].data, expected[k].data) << k;
  }
  EXPECT_EQ(cut_network.outputs().edge_gradient, whole_network.outputs().edge_gradient);
}

/// An adjoint that reads what its stage does not say that it reads gives NaN.
void poison_what_is_not_saved(const plan::Plan& plan, std::size_t first, kernels::Probe& probe) {
  std::set<plan::ValueId> saved;
  std::set<std::int32_t> buffers;
  for (std::size_t k = first; k < plan.stages.size(); ++k) {
    for (const plan::ValueId v :
         std::visit([](const auto& s) { return s.saved_for_adjoint(); }, plan.stages[k])) {
      saved.insert(v);
      buffers.insert(plan.values[static_cast<std::size_t>(v)].buffer);
    }
  }
  for (plan::ValueId v = 0; v < static_cast<plan::ValueId>(plan.values.size()); ++v) {
    if (saved.count(v) == 0 &&
        buffers.count(plan.values[static_cast<std::size_t>(v)].buffer) == 0) {
      const std::size_t n = probe.get(v, false).size();
      probe.set(v, false, std::vector<double>(n, std::numeric_limits<double>::quiet_NaN()));
    }
  }
}

/// Values that the first stages make, and their adjoints, get buffers of their own, since those stages do
/// not run; each adjoint of a later stage adds.
void add_to_adjoints_of_inputs(plan::Plan& plan, std::size_t n_inputs) {
  std::set<plan::ValueId> made;
  for (std::size_t k = 0; k < n_inputs; ++k) {
    const plan::ValueId v = std::visit([](const auto& s) { return s.output(); }, plan.stages[k]);
    made.insert(v);
    plan::NodeValue& value = plan.values[static_cast<std::size_t>(v)];
    plan.buffers.push_back(plan.buffers[static_cast<std::size_t>(value.adjoint_buffer)]);
    value.adjoint_buffer = static_cast<std::int32_t>(plan.buffers.size()) - 1;
  }
  for (std::size_t k = n_inputs; k < plan.stages.size(); ++k) {
    for (plan::Input* in : std::visit([](auto& s) { return s.inputs(); }, plan.stages[k])) {
      if (made.count(in->value) == 1) {
        in->adjoint = plan::Write::Add;
      }
    }
  }
}

double tolerance(Precision precision) { return precision == Precision::Double ? 4e-13 : 1e-4; }

TEST_P(StageTest, KernelsEqualTheReference) {
  for (const auto& [what, structure] : structures()) {
    const EdgeList edges = edges_of(model_, structure);
    const std::vector<Value> inputs = random_inputs(edges);
    Network network(model_, edges);
    const Value output = network.forward_alone(last_, inputs);
    const Value v = has_adjoint() ? random_like(output) : Value{};
    const std::vector<Value> adjoints =
        has_adjoint() ? network.adjoint_alone(last_, v) : std::vector<Value>{};
    for (const Target& target : all_targets()) {
      SCOPED_TRACE(what + ", " + target.name());
      const double tol = tolerance(target.precision);
      const auto expect_near = [&](const std::vector<double>& found,
                                   const std::vector<double>& expected,
                                   const std::string& of) {
        EXPECT_LE(max_error(found, expected), tol * std::max(1.0, max_size(expected))) << of;
      };
      plan::Options options = kernels::plan_options(target.precision, target.space);
      options.products = of_stage_.methods.products;
      options.convolutions = of_stage_.methods.convolutions;
      options.couplings = of_stage_.methods.couplings;
      plan::Plan plan = plan::lower(model_, options);
      plan::schedule(plan, options.channel_multiple);
      std::map<std::string, plan::ValueId> value_of;
      for (std::size_t k = 0; k < plan.values.size(); ++k) {
        value_of[plan.values[k].name] = static_cast<plan::ValueId>(k);
      }
      // Stages that make the inputs are left out.
      std::size_t first = 0;
      for (StageIndex k = 0; k < last_; ++k) {
        first += model_.graph[static_cast<std::size_t>(k)].kind == ValueKind::Features ? 1 : 0;
      }
      // A second reader of the inputs, which came before: adjoints are added to what it wrote.
      const bool adds = structure.numbers.size() % 2 == 1;
      if (adds) {
        add_to_adjoints_of_inputs(plan, first);
      }
      const auto probe = kernels::make_probe(plan, target.precision, target.space);
      probe->begin_forward(edges);
      for (std::size_t k = 0; k < inputs.size(); ++k) {
        const Stage& stage = model_.graph[k];
        if (stage.kind == ValueKind::Features) {
          probe->set(value_of.at(stage.output), false, by_blocks(inputs[k], stage.irreps));
        }
      }
      for (std::size_t k = first; k < plan.stages.size(); ++k) {
        probe->forward(k);
      }
      const Stage& made = model_.graph.back();
      if (made.kind == ValueKind::Forces) {
        expect_near(probe->direct_forces(), network.outputs().direct_forces, "forces");
        continue;
      }
      const bool is_scalar = made.kind == ValueKind::Scalar;
      if (is_scalar) {
        expect_near(probe->energy(), output.data, "energy");
      } else if (made.kind == ValueKind::Features) {
        expect_near(
            probe->get(value_of.at(made.output), false), by_blocks(output, made.irreps), "output");
      } else {
        continue; // no stage of a plan: made where edges are brought
      }
      poison_what_is_not_saved(plan, first, *probe);
      probe->begin_adjoint(is_scalar ? v.data : std::vector<double>{});
      if (!is_scalar) {
        probe->set(value_of.at(made.output), true, by_blocks(v, made.irreps));
      }
      std::vector<Value> before = inputs; // as good as any numbers
      for (std::size_t k = 0; k < inputs.size() && adds; ++k) {
        const Stage& stage = model_.graph[k];
        if (stage.kind == ValueKind::Features) {
          probe->set(value_of.at(stage.output), true, by_blocks(before[k], stage.irreps));
        }
      }
      for (std::size_t k = plan.stages.size(); k-- > first;) {
        probe->adjoint(k);
      }
      for (std::size_t k = 0; k < inputs.size(); ++k) {
        const Stage& stage = model_.graph[k];
        if (stage.kind == ValueKind::Features) {
          std::vector<double> expected = by_blocks(adjoints[k], stage.irreps);
          const std::vector<double> old = by_blocks(before[k], stage.irreps);
          for (std::size_t n = 0; n < expected.size() && adds; ++n) {
            expected[n] += old[n];
          }
          expect_near(probe->get(value_of.at(stage.output), true),
                      expected,
                      "adjoint of input " + std::to_string(k));
        }
      }
      expect_near(probe->edge_gradient(), network.outputs().edge_gradient, "edge gradient");
    }
  }
}

/// Every stage, between a linear map and a readout of what it makes: the schedule, played.
TEST(StagesOfAPlan, AreAllPlayed) {
  std::set<std::size_t> played; // alternatives of plan::Stage
  for (const StageCase& of_stage : all_cases()) {
    plan::Options options;
    options.products = of_stage.methods.products;
    options.convolutions = of_stage.methods.convolutions;
    options.couplings = of_stage.methods.couplings;
    plan::Plan plan = plan::lower(of_stage.model, options);
    plan::fuse_residuals(plan);
    plan::schedule(plan, 4);
    play(plan);
    for (const auto& stage : plan.stages) {
      played.insert(stage.index());
    }
  }
  EXPECT_EQ(played.size(), std::variant_size_v<plan::Stage>);
}

std::vector<std::size_t> indices() {
  std::vector<std::size_t> list(all_cases().size());
  for (std::size_t k = 0; k < list.size(); ++k) {
    list[k] = k;
  }
  return list;
}

INSTANTIATE_TEST_SUITE_P(All, StageTest, testing::ValuesIn(indices()), [](const auto& of) {
  return all_cases()[of.param].name;
});

} // namespace
} // namespace eqnn::test
