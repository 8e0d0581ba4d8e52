// SPDX-License-Identifier: BSD-3-Clause
// Whole models against upstream: energies, edge gradients, forces, strain derivatives, by the
// reference evaluator and by the Kokkos evaluator on every execution space at every precision.
#include "eqnn/neighbors.hpp"
#include "model/model_file.hpp"
#include "reference/evaluate.hpp"
#include "support/compare.hpp"
#include "support/evaluators.hpp"
#include "support/golden.hpp"
#include "support/test_data.hpp"

#include <gtest/gtest.h>

namespace eqnn::test {
namespace {

struct Tolerance {
  double energy; ///< of the spread of network energies: relative to the sum of |E_i| of the network
  double gradient; ///< relative to the largest component
};

// Reference and double: rounding of sums of some thousand terms. Mixed and single: eps(float) =
// 6e-8 times the depth of the network; docs/accuracy.md has the measured errors.
constexpr Tolerance kReference{1e-12, 1e-11};
constexpr Tolerance kDouble{1e-12, 1e-11};
constexpr Tolerance kFloat{5e-6, 5e-5};

struct Case {
  std::string model, structure;
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.model << " " << c.structure;
}

std::vector<Case> cases() {
  std::vector<Case> list;
  for (const char* model :
       {"l1_h16_b1", "l1_h32_b2", "l2_h16_b2", "l2_h32_b3", "l3_h16_b2", "l3_h32_b1"}) {
    for (const char* structure : {"3bpa0", "3bpa1", "acac2", "pbc16"}) {
      list.push_back({std::string("tdn/model_") + model, structure});
    }
  }
  list.push_back({"tdn_3bpa/tdn_3bpa", "pbc_hot440"});
  return list;
}

std::vector<std::int32_t> numbers_of(const Golden& golden) {
  const auto& values = golden["atomic_numbers"].values;
  return {values.begin(), values.end()};
}

void set_species(EdgeList& edges,
                 const ModelSpec& model,
                 const std::vector<std::int32_t>& numbers) {
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    edges.species[i] = static_cast<std::int32_t>(
        std::find(model.species.begin(), model.species.end(), numbers[i]) - model.species.begin());
  }
}

ModelSpec load(const std::string& name) { return read_model(golden_folder() + name + ".eqnn"); }

class TdnModels : public testing::TestWithParam<Case> {
protected:
  TdnModels()
      : model_(load(GetParam().model))
      , golden_(GetParam().model.substr(0, 8) == "tdn_3bpa"
                    ? "tdn_3bpa/" + GetParam().structure + ".safetensors"
                    : GetParam().model + "." + GetParam().structure + ".safetensors")
      , numbers_(numbers_of(golden_))
      , edges_(golden_.edges(static_cast<std::int32_t>(numbers_.size()), order_)) {
    set_species(edges_, model_, numbers_);
    // The goldens are the network's own output.
    model_.energy.shift = 0.0;
    model_.energy.reference.assign(model_.species.size(), 0.0);
  }

  void
  expect_equal(const Outputs& found, const Tolerance& tolerance, const std::string& who) const {
    double energy = 0.0;
    double size = 0.0;
    for (const double e : found.energy) {
      energy += e;
      size += std::abs(e);
    }
    double expected = 0.0;
    for (const double e : golden_["energy"].values) { // one per molecule of a batch
      expected += e;
    }
    EXPECT_LE(std::abs(energy - expected), tolerance.energy * size) << who;
    const auto gradient = in_order(golden_.value("dE_dedge_vec", 1, 3), order_).data;
    EXPECT_LE(relative_error(found.edge_gradient, gradient), tolerance.gradient) << who;
    const auto properties = properties_of(model_, edges_, found);
    EXPECT_LE(relative_error(properties.forces, golden_["forces"].values), tolerance.gradient)
        << who;
    if (golden_.has("dE_dstrain")) {
      std::vector<double> strain(9);
      for (std::size_t k = 0; k < 9; ++k) {
        strain[k] = -properties.virial[k];
      }
      EXPECT_LE(relative_error(strain, golden_["dE_dstrain"].values), tolerance.gradient) << who;
    }
  }

  ModelSpec model_;
  Golden golden_;
  std::vector<std::int32_t> numbers_;
  std::vector<std::size_t> order_;
  EdgeList edges_;
};

TEST_P(TdnModels, ReferenceEqualsUpstream) {
  expect_equal(reference::evaluate(model_, edges_).outputs, kReference, "reference");
}

TEST_P(TdnModels, KernelsEqualUpstream) {
  Evaluators evaluators(model_);
  for (const Target& target : all_targets()) {
    const auto evaluator = evaluators.make(target);
    expect_equal(run(*evaluator, edges_),
                 target.precision == Precision::Double ? kDouble : kFloat,
                 target.name());
  }
}

INSTANTIATE_TEST_SUITE_P(All, TdnModels, testing::ValuesIn(cases()), [](const auto& test) {
  return test.param.model.substr(test.param.model.find('/') + 1) + "_" + test.param.structure;
});

/// Outputs of all stages of one kind, in the order of the graph.
template <class Op>
std::vector<reference::Value> values_of(const ModelSpec& model, const reference::Result& result) {
  std::vector<reference::Value> values;
  for (std::size_t k = 0; k < model.graph.size(); ++k) {
    if (std::holds_alternative<Op>(model.graph[k].op)) {
      values.push_back(result.values[k]);
    }
  }
  return values;
}

TEST(TdnModel, StagesOnTheWayEqualUpstream) {
  const ModelSpec model = load("tdn/model_l1_h16_b1");
  for (const char* name :
       {"tdn/model_l1_h16_b1.3bpa0.safetensors", "tdn/model_l1_h16_b1.pbc16.safetensors"}) {
    const Golden golden(name);
    const auto numbers = numbers_of(golden);
    std::vector<std::size_t> order;
    EdgeList edges = golden.edges(static_cast<std::int32_t>(numbers.size()), order);
    set_species(edges, model, numbers);
    const auto result = reference::evaluate(model, edges);
    const auto expect = [&](const std::vector<double>& found, const std::string& trace) {
      EXPECT_LE(relative_error(found, golden[trace].values), 1e-12) << name << " " << trace;
    };
    expect(values_of<SpeciesEmbeddingStage>(model, result).front().data, "trace.node_embed");
    expect(values_of<DegreeEmbeddingStage>(model, result).front().data, "trace.degree_embed");
    expect(values_of<AddStage>(model, result).back().data, "trace.x_block0");
    expect(values_of<EquivariantNormStage>(model, result).back().data, "trace.x_norm");
    expect(result.values.back().data, "trace.e_atom");
    const auto w = in_order(golden.value("trace.blk0.rad_out", 1, 16), order).data;
    EXPECT_LE(relative_error(values_of<RadialStage>(model, result).at(1).data, w), 1e-12);
  }
}

TEST(TdnModel, TrainedModelReproducesTheTwentyGoldenFrames) {
  const ModelSpec model = load("tdn_3bpa/tdn_3bpa");
  const Golden golden("tdn_3bpa/golden20.safetensors");
  const auto numbers = numbers_of(golden);
  Evaluators evaluators(model);
  for (const Target& target : all_targets()) {
    const auto evaluator = evaluators.make(target);
    const bool is_double = target.precision == Precision::Double;
    for (std::size_t frame = 0; frame < 20; ++frame) {
      std::vector<std::array<double, 3>> positions(numbers.size());
      std::vector<double> forces;
      for (std::size_t i = 0; i < numbers.size(); ++i) {
        for (std::size_t a = 0; a < 3; ++a) {
          positions[i][a] = golden["positions"].values[(frame * numbers.size() + i) * 3 + a];
          forces.push_back(golden["forces"].values[(frame * numbers.size() + i) * 3 + a]);
        }
      }
      const EdgeList edges =
          edges_of(numbers, positions, std::nullopt, model.species, model.cutoff);
      const auto properties = properties_of(model, edges, run(*evaluator, edges));
      const double expected = golden["E_total"].values[frame];
      // 1e-10 relative of 1.6e4 eV is 1.6e-6 eV; ask for more. eV, eV/Angstrom.
      EXPECT_LE(std::abs(properties.energy - expected), is_double ? 1e-9 : 2e-4)
          << target.name() << " frame " << frame;
      EXPECT_LE(max_error(properties.forces, forces), is_double ? 1e-9 : 1e-3)
          << target.name() << " frame " << frame;
    }
  }
}

} // namespace
} // namespace eqnn::test
