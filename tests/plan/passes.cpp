// SPDX-License-Identifier: BSD-3-Clause
// The passes of the plan compiler, one by one.
#include "base/error.hpp"
#include "plan/compile.hpp"
#include "reference/stages/radial.hpp"
#include "support/compare.hpp"
#include "support/graph_builder.hpp"
#include "support/playback.hpp"
#include "support/random_model.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <set>

namespace eqnn::test {
namespace {

using plan::kNoValue;
using plan::Plan;
using plan::ValueId;

ModelSpec small_model() {
  RandomModelOptions options;
  options.l_max = 1;
  options.channels = 8;
  return random_model(options);
}

template <class Stage> std::size_t count(const Plan& plan) {
  std::size_t n = 0;
  for (const auto& stage : plan.stages) {
    n += std::holds_alternative<Stage>(stage) ? 1 : 0;
  }
  return n;
}

TEST(Lower, StoresEqualCouplingsAndRadialFunctionsOnce) {
  ModelSpec model = small_model();
  const std::size_t n_radials = plan::lower(model, {}).radials.size();
  EXPECT_EQ(n_radials, 3U); // of the embedding and of two blocks
  const RadialStage* first = nullptr;
  for (auto& stage : model.graph) {
    if (auto* radial = std::get_if<RadialStage>(&stage.op)) {
      if (first == nullptr) {
        first = radial;
      } else {
        *radial = *first;
      }
    }
  }
  const Plan plan = plan::lower(model, {});
  EXPECT_EQ(plan.radials.size(), 1U);
  EXPECT_EQ(plan.couplings.size(), 1U);
}

TEST(Schedule, MarksWhatNeighborsRead) {
  const Plan plan = plan::compile(small_model(), {});
  std::set<ValueId> sources;
  for (const auto& stage : plan.stages) {
    if (const auto* attention = std::get_if<plan::EdgeAttention>(&stage)) {
      sources.insert(attention->source.value);
    }
  }
  EXPECT_EQ(sources.size(), 2U);
  for (std::size_t v = 0; v < plan.values.size(); ++v) {
    EXPECT_EQ(plan.values[v].on_ghosts, sources.count(static_cast<ValueId>(v)) == 1)
        << plan.values[v].name;
  }
}

TEST(FuseResiduals, MakesOneStageOfASumWithALinearMap) {
  Plan plan = plan::lower(small_model(), {});
  // the degree embedding, and two sums a block
  EXPECT_EQ(count<plan::Add>(plan), 5U);
  const std::size_t n_linear = count<plan::Linear>(plan);
  plan::fuse_residuals(plan);
  EXPECT_EQ(count<plan::Add>(plan), 0U);
  EXPECT_EQ(count<plan::Linear>(plan), n_linear);
}

TEST(FuseResiduals, LeavesASumWhoseTermsOthersUse) {
  ModelSpec model = small_model();
  // x + x has no term of its own
  for (auto& stage : model.graph) {
    if (auto* add = std::get_if<AddStage>(&stage.op)) {
      add->b = add->a;
      break;
    }
  }
  Plan plan = plan::lower(model, {});
  plan::fuse_residuals(plan);
  EXPECT_EQ(count<plan::Add>(plan), 1U);
}

TEST(Schedule, NoBufferIsOverwrittenWhileItIsNeeded) {
  RandomModelOptions options;
  options.blocks = 4;
  options.channels = 8;
  play(plan::compile(random_model(options), {}));
}

TEST(Schedule, ValuesAndAdjointsShareBuffers) {
  RandomModelOptions options;
  options.blocks = 4;
  options.channels = 8;
  const Plan plan = plan::compile(random_model(options), {});
  // fewer buffers than values and adjoints, or nothing was shared
  EXPECT_LT(plan.buffers.size(), plan.values.size());
  for (const auto& value : plan.values) {
    for (const std::int32_t b : {value.buffer, value.adjoint_buffer}) {
      if (b >= 0) {
        const plan::Buffer& buffer = plan.buffers[static_cast<std::size_t>(b)];
        EXPECT_GE(buffer.width, std::int64_t{value.components} * value.channels);
        EXPECT_EQ(buffer.on_ghosts, value.on_ghosts);
      }
    }
  }
}

TEST(Tabulate, ReachesItsToleranceAndSaysSo) {
  const ModelSpec model = small_model();
  for (const auto& stage : model.graph) {
    const auto* radial = std::get_if<RadialStage>(&stage.op);
    if (radial == nullptr) {
      continue;
    }
    for (const auto& [tolerance, degree] : {std::pair{4e-15, 9}, std::pair{1e-8, 7}}) {
      plan::Options options;
      options.radial_tolerance = tolerance;
      options.radial_degree = degree;
      const plan::RadialTable table = plan::tabulate(*radial, model.cutoff, options);
      EXPECT_LE(table.error, tolerance);
      // between the points that the compiler looked at, against the reference's formulas
      const auto channels = static_cast<std::size_t>(table.channels);
      const auto n_powers = static_cast<std::size_t>(table.degree) + 1;
      double error = 0.0;
      double largest = 0.0;
      for (double r = 0.0137; r < model.cutoff; r += 0.0411) {
        const double x = r / model.cutoff * table.n_intervals;
        const auto interval = static_cast<std::size_t>(x);
        const double t = 2.0 * (x - static_cast<double>(interval)) - 1.0;
        const auto expected = reference::radial(*radial, model.cutoff, r).value;
        for (std::size_t c = 0; c < channels; ++c) {
          double value = 0.0;
          for (std::size_t p = n_powers; p-- > 0;) {
            value = value * t + table.coefficients[(interval * n_powers + p) * channels + c];
          }
          error = worse(std::abs(value - expected[c]), error);
          largest = std::max(largest, std::abs(expected[c]));
        }
      }
      EXPECT_LE(error, (3.0 * tolerance + 1e-14) * largest);
    }
  }
}

TEST(Tabulate, TakesTheFewestIntervalsThatReachTheTolerance) {
  const ModelSpec model = small_model();
  for (const auto& stage : model.graph) {
    const auto* radial = std::get_if<RadialStage>(&stage.op);
    if (radial == nullptr) {
      continue;
    }
    plan::Options options;
    for (const double tolerance : {1e-6, 1e-9, 1e-12}) {
      options.radial_tolerance = tolerance;
      const plan::RadialTable table = plan::tabulate(*radial, model.cutoff, options);
      // What is reached exactly must not be given up for some interval's error.
      options.radial_tolerance = table.error;
      const plan::RadialTable same = plan::tabulate(*radial, model.cutoff, options);
      EXPECT_EQ(same.n_intervals, table.n_intervals);
      EXPECT_EQ(same.coefficients, table.coefficients);
      options.radial_tolerance = 0.99 * table.error;
      EXPECT_GT(plan::tabulate(*radial, model.cutoff, options).n_intervals, table.n_intervals);
    }
  }
}

TEST(Tabulate, RefusesWhatIsNotFinite) {
  for (const double weight :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    ModelSpec model = small_model();
    for (auto& stage : model.graph) {
      if (auto* radial = std::get_if<RadialStage>(&stage.op)) {
        radial->layers.back().weight.values.assign(radial->layers.back().weight.values.size(),
                                                   weight);
        EXPECT_THROW((void)plan::tabulate(*radial, model.cutoff, {}), Error);
      }
    }
  }
}

TEST(Lower, KeepsNoRadialTableThatNoStageReads) {
  GraphBuilder build({1, 6, 8}, 4.0, 1, Parity::O3, 3);
  const StageIndex x = build.product(build.uniform_input(1, 9), build.harmonics(1), 1);
  const ModelSpec model = build.finish({build.readout(x, Activation::Silu)});
  plan::Options options;
  options.channel_multiple = 8; // channels are padded, in another table than the function's own
  EXPECT_EQ(plan::lower(model, options).radials.size(), 1U);
}

/// A radial function of each kind that depends on species, and none other in the model.
RadialStage of_species(GraphBuilder::OfSpecies what) {
  GraphBuilder build({1, 6, 8}, 4.0, 1, Parity::O3, 3);
  build.of_species = what;
  return std::get<RadialStage>(build.stage(build.radial(5)).op);
}

TEST(Tabulate, TablesOfPairsAreTheFunctionsOfBothSpecies) {
  for (const auto what : {GraphBuilder::OfSpecies::Agnesi,
                          GraphBuilder::OfSpecies::Soft,
                          GraphBuilder::OfSpecies::Terms}) {
    const RadialStage radial = of_species(what);
    for (const auto& [tolerance, degree] : {std::pair{4e-15, 9}, std::pair{6e-8, 5}}) {
      plan::Options options;
      options.radial_tolerance = tolerance;
      options.radial_degree = degree;
      const auto pairs = plan::tabulate(radial, 4.0, options).pairs;
      ASSERT_TRUE(pairs);
      EXPECT_EQ(pairs->is_symmetric(), what != GraphBuilder::OfSpecies::Terms);
      for (const auto& [center, source] : {std::pair{0, 0}, std::pair{0, 2}, std::pair{2, 0}}) {
        const plan::PairTable table = pairs->make(center, source);
        const auto n_powers = static_cast<std::size_t>(degree) + 1;
        double error = 0.0;
        double largest = 0.0;
        for (double r = 0.0137; r < 4.0; r += 0.0411) {
          const auto cell = static_cast<std::size_t>(r / 4.0 * pairs->n_cells());
          const auto interval = static_cast<std::size_t>(table.interval_of_cell[cell]);
          const double t = (r - table.middle[interval]) * table.scale[interval];
          EXPECT_LE(std::abs(t), 1.0 + 1e-12);
          const auto expected = reference::radial(radial, 4.0, r, center, source).value;
          for (std::size_t c = 0; c < 5; ++c) {
            double value = 0.0;
            for (std::size_t p = n_powers; p-- > 0;) {
              value = value * t + table.coefficients[(interval * n_powers + p) * 5 + c];
            }
            error = worse(std::abs(value - expected[c]), error);
            largest = std::max(largest, std::abs(expected[c]));
          }
        }
        EXPECT_LE(error, (3.0 * tolerance + 1e-13) * largest);
      }
    }
  }
}

TEST(Tabulate, RefusesAPairThatIsNotFinite) {
  RadialStage radial = of_species(GraphBuilder::OfSpecies::Agnesi);
  radial.layers.front().weight.values[3] = std::numeric_limits<double>::quiet_NaN();
  const auto pairs = plan::tabulate(radial, 4.0, {}).pairs;
  try {
    (void)pairs->make(0, 1);
    FAIL() << "tabulated";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("a radial function of a pair of species cannot be "),
              std::string::npos)
        << error.what();
  }
}

TEST(Tabulate, RefusesWhatVariesTooFast) {
  const ModelSpec model = small_model();
  for (const auto& stage : model.graph) {
    if (const auto* found = std::get_if<RadialStage>(&stage.op)) {
      RadialStage radial = *found;
      auto& widths = std::get<GaussianBasis>(radial.basis).width.values;
      widths.assign(widths.size(), 1e-5);
      try {
        plan::tabulate(radial, model.cutoff, {});
        FAIL() << "tabulated";
      } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find("it varies too fast, or is not finite. Check"),
                  std::string::npos)
            << error.what();
      }
      return;
    }
  }
}

TEST(Describe, NamesEveryStageAndTable) {
  const std::string text = plan::describe(plan::compile(small_model(), {}));
  for (const char* const word : {"radial 0: ",
                                 "matrix 0: 4 components",
                                 "species embedding",
                                 "sum over neighbors, matrix 0",
                                 "linear of",
                                 "equivariant norm of",
                                 "gate of",
                                 "edge attention of source",
                                 "with ghosts",
                                 "energy += readout of"}) {
    EXPECT_NE(text.find(word), std::string::npos) << word << " is not in\n" << text;
  }
}

} // namespace
} // namespace eqnn::test
