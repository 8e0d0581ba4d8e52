// SPDX-License-Identifier: BSD-3-Clause
// Structures relaxed together: the same bits in any company, and a reason for each that fails. That the steps
// are ASE's is tested in tests/python/test_relax_parity.py.
#include "eqnn/relax.hpp"

#include "base/error.hpp"
#include "engine/matrix3.hpp"
#include "engine/optimizers.hpp"
#include "support/compare.hpp"
#include "support/random_model.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>

namespace eqnn {
namespace {

const double kNan = std::numeric_limits<double>::quiet_NaN();

ModelSpec small_spec() {
  test::RandomModelOptions options;
  options.channels = 8;
  options.heads = 2;
  options.blocks = 1;
  options.envelope = true;
  return test::random_model(options);
}

std::vector<RelaxInput> some_inputs(const ModelSpec& spec) {
  std::vector<RelaxInput> out;
  std::uint32_t seed = 3;
  for (const int n : {7, 1, 12, 3, 5, 2, 16, 4, 9}) {
    const test::Structure s = test::random_structure(n, spec.species, 0.05, 1.1, seed++);
    RelaxInput input{{s.numbers, s.positions, n % 3 == 0 ? std::nullopt : s.cell}, {}};
    if (n > 6) {
      input.fixed.assign(static_cast<std::size_t>(n), 0);
      input.fixed[2] = 1;
    }
    out.push_back(std::move(input));
  }
  return out;
}

RelaxInput pair_at(double distance, std::int32_t other = 6) {
  return {{{1, other}, {{0, 0, 0}, {0, 0, distance}}, std::nullopt}, {}};
}

std::vector<Relaxed> relaxed(const Model& model,
                             Potential& potential,
                             const std::vector<RelaxInput>& inputs,
                             const RelaxOptions& options) {
  std::vector<Relaxed> out(inputs.size());
  std::vector<int> n_told(inputs.size());
  RelaxEvents events;
  events.finished = [&](std::size_t k, const Relaxed& one) {
    out[k] = one;
    ++n_told[k];
    return true;
  };
  relax(model, potential, inputs, options, events);
  EXPECT_EQ(n_told, std::vector<int>(inputs.size(), 1));
  return out;
}

std::vector<Relaxed> relaxed(const std::vector<RelaxInput>& inputs,
                             const RelaxOptions& options = {}) {
  const Model model(small_spec());
  Potential potential(model);
  return relaxed(model, potential, inputs, options);
}

std::string refusal(const RelaxOptions& options, const ModelSpec& spec = small_spec()) {
  const Model model(spec);
  try {
    Potential potential{Model(small_spec())};
    relax(model, potential, {}, options, {});
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

void expect_same(const Relaxed& found, const Relaxed& expected, const std::string& where) {
  EXPECT_EQ(found.status, expected.status) << where;
  EXPECT_EQ(found.reason, expected.reason) << where;
  EXPECT_EQ(found.last.step, expected.last.step) << where;
  EXPECT_EQ(found.last.energy, expected.last.energy) << where;
  EXPECT_EQ(found.last.fmax, expected.last.fmax) << where;
  EXPECT_EQ(found.last.forces, expected.last.forces) << where;
  EXPECT_EQ(found.last.structure.positions, expected.last.structure.positions) << where;
  EXPECT_EQ(found.last.structure.cell, expected.last.structure.cell) << where;
  EXPECT_EQ(found.first_energy, expected.first_energy) << where;
}

TEST(Relax, NeitherTheOrderNorTheCompanyChangesABit) {
  const Model model(small_spec());
  Potential potential(model);
  const std::vector<RelaxInput> inputs = some_inputs(model.spec());
  const std::vector<RelaxInput> reversed(inputs.rbegin(), inputs.rend());
  for (const auto optimizer : {OptimizerKind::Lbfgs, OptimizerKind::Fire}) {
    for (const bool relax_cell : {false, true}) {
      RelaxOptions options;
      options.optimizer = optimizer;
      options.relax_cell = relax_cell;
      options.max_steps = 12;
      options.atoms_at_once = 1;
      const std::vector<Relaxed> expected = relaxed(model, potential, inputs, options);
      std::int32_t most = 0;
      for (const std::int32_t at_once : {0, 25}) {
        options.atoms_at_once = at_once;
        const std::vector<Relaxed> found = relaxed(model, potential, inputs, options);
        const std::vector<Relaxed> backwards = relaxed(model, potential, reversed, options);
        for (std::size_t k = 0; k < found.size(); ++k) {
          const std::string where = std::to_string(k) + " of " + std::to_string(at_once);
          expect_same(found[k], expected[k], where);
          expect_same(backwards[found.size() - 1 - k], expected[k], where + ", backwards");
          most = std::max(most, found[k].last.step);
        }
      }
      EXPECT_EQ(most, 12); // some went all the way
    }
  }
}

TEST(Relax, ConvergedIsWhatHasNoLargerForce) {
  const std::vector<Relaxed> found = relaxed({pair_at(1.2), pair_at(1.2)}, {});
  EXPECT_EQ(found[0].status, RelaxStatus::Converged) << found[0].reason;
  EXPECT_EQ(found[0].reason, "");
  EXPECT_LT(found[0].last.fmax, 0.05);
  EXPECT_GT(found[0].last.step, 0);
  EXPECT_NE(found[0].last.energy, found[0].first_energy);
  EXPECT_NEAR(found[0].last.forces[2], -found[0].last.forces[5], 1e-12);
  expect_same(found[1], found[0], "twin");
  // What has converged where it begins makes no step.
  const Relaxed again = relaxed({{found[0].last.structure, {}}}, {})[0];
  EXPECT_EQ(again.status, RelaxStatus::Converged);
  EXPECT_EQ(again.last.step, 0);
  EXPECT_EQ(again.last.structure.positions, found[0].last.structure.positions);
}

TEST(Relax, MaxStepsIsAnEndToo) {
  RelaxOptions options;
  options.fmax = 1e-9;
  options.max_steps = 0;
  Relaxed found = relaxed({pair_at(1.2)}, options)[0];
  EXPECT_EQ(found.status, RelaxStatus::MaxSteps);
  EXPECT_EQ(found.last.step, 0);
  EXPECT_EQ(found.last.energy, found.first_energy);
  options.max_steps = 3;
  found = relaxed({pair_at(1.2)}, options)[0];
  EXPECT_EQ(found.status, RelaxStatus::MaxSteps);
  EXPECT_EQ(found.last.step, 3);
}

TEST(Relax, FixedAtomsStayAndTheirForcesDoNotCount) {
  RelaxInput input = pair_at(1.2);
  input.fixed = {1, 0};
  const Relaxed found = relaxed({input}, {})[0];
  const std::vector<double>& f = found.last.forces;
  EXPECT_EQ(found.last.fmax, std::sqrt(f[3] * f[3] + f[4] * f[4] + f[5] * f[5]));
  EXPECT_EQ(found.last.structure.positions[0], input.structure.positions[0]);
  EXPECT_NE(found.last.structure.positions[1], input.structure.positions[1]);
  input.fixed = {1, 1};
  const Relaxed both = relaxed({input}, {})[0];
  EXPECT_EQ(both.status, RelaxStatus::Converged);
  EXPECT_EQ(both.last.step, 0);
  EXPECT_EQ(both.last.fmax, 0.0);
  EXPECT_GT(std::abs(both.last.forces[2]), 0.05); // those that there are, are told
}

struct Bad {
  RelaxInput input;
  RelaxStatus status;
  std::string reason;
};

std::vector<Bad> bad_inputs() {
  RelaxInput flagged = pair_at(1.2);
  flagged.fixed = {1};
  RelaxInput flat = pair_at(1.2);
  flat.structure.cell = {1, 0, 0, 2, 0, 0, 0, 0, 1};
  return {
      {pair_at(1.2, 26),
       RelaxStatus::UnknownElement,
       "atom 1 is Fe, which the model does not know, expected one of H, C, O.\nUse a model that "
       "knows all elements of the structure."},
      {pair_at(0.0),
       RelaxStatus::Invalid,
       "node 1 is 0 Angstrom from atom 0, expected at least 1e-06.\nTwo atoms coincide or a "
       "coordinate is not finite: check the structure, the box and the time step."},
      {pair_at(kNan),
       RelaxStatus::NotFinite,
       "atom 1 is at (0, 0, nan), expected finite coordinates.\nCorrect the structure."},
      {flat,
       RelaxStatus::Invalid,
       "the cell's volume is 0 A^3, expected above 1e-06.\nGive three lattice vectors that are not "
       "in one plane, or no cell if nothing is periodic."},
      {{},
       RelaxStatus::Invalid,
       "there are no atoms, expected one or more. Correct the structure."},
      {flagged,
       RelaxStatus::Invalid,
       "there are 1 flags of fixed atoms for 2 atoms, expected one for each or none. Correct the "
       "input."},
  };
}

TEST(Relax, WhatFailsHasItsReasonAndStopsNoOther) {
  const std::vector<Bad> bad = bad_inputs();
  std::vector<RelaxInput> inputs;
  for (const Bad& one : bad) {
    inputs.push_back(one.input);
    inputs.push_back(pair_at(1.2));
  }
  for (const bool relax_cell : {false, true}) {
    RelaxOptions options;
    options.relax_cell = relax_cell;
    const std::vector<Relaxed> found = relaxed(inputs, options);
    for (std::size_t k = 0; k < bad.size(); ++k) {
      EXPECT_EQ(found[2 * k].status, bad[k].status) << found[2 * k].reason;
      EXPECT_EQ(found[2 * k].reason, bad[k].reason);
      EXPECT_TRUE(std::isnan(found[2 * k].last.energy));
      EXPECT_TRUE(std::isnan(found[2 * k].last.fmax));
      EXPECT_TRUE(std::isnan(found[2 * k].first_energy));
      EXPECT_TRUE(found[2 * k].last.forces.empty());
      EXPECT_EQ(found[2 * k].last.structure.numbers, bad[k].input.structure.numbers);
      EXPECT_EQ(found[2 * k + 1].status, RelaxStatus::Converged);
      expect_same(found[2 * k + 1], found[1], "a good one");
    }
  }
}

TEST(Relax, AResultThatIsNotFiniteIsNamed) {
  ModelSpec spec = small_spec();
  spec.energy.reference[1] = kNan;
  const Model model(spec);
  Potential potential(model);
  const Relaxed found = relaxed(model, potential, {pair_at(1.2)}, {})[0];
  EXPECT_EQ(found.status, RelaxStatus::NotFinite);
  EXPECT_EQ(found.reason,
            "the energy of atom 1 is nan, expected a finite number.\nThe structure is far outside "
            "the training data, or the precision is too low: try precision double.");
}

TEST(Relax, WhatExplodesSaysByWhat) {
  RelaxOptions options;
  options.exploded_force = 1e-3;
  Relaxed found = relaxed({pair_at(1.2)}, options)[0];
  EXPECT_EQ(found.status, RelaxStatus::Exploded);
  EXPECT_EQ(found.reason.find("after 0 steps a force is "), 0U) << found.reason;
  EXPECT_NE(found.reason.find(" eV/Angstrom, expected at most 0.001.\nThe structure is far outside "
                              "the training data: start closer to a minimum."),
            std::string::npos);
  EXPECT_TRUE(std::isfinite(found.last.energy));
  options = {};
  options.exploded_distance = 1e-3;
  found = relaxed({pair_at(1.2)}, options)[0];
  EXPECT_EQ(found.status, RelaxStatus::Exploded);
  EXPECT_EQ(found.reason.find("after 1 steps an atom is "), 0U) << found.reason;
  EXPECT_NE(found.reason.find(" Angstrom from its initial position, expected at most 0.001.\nThe "
                              "structure came apart: start closer to a minimum."),
            std::string::npos);
  options = {};
  options.relax_cell = true;
  options.fmax = 1e-6;
  options.exploded_volume = 1.0001;
  RelaxInput cell = pair_at(1.2);
  cell.structure.cell = {3, 0, 0, 0, 3, 0, 0, 0, 3};
  found = relaxed({cell}, options)[0];
  EXPECT_EQ(found.status, RelaxStatus::Exploded);
  EXPECT_EQ(found.reason.find("after "), 0U);
  EXPECT_NE(found.reason.find(" times the initial volume, expected a change by a factor of at most "
                              "1.0001.\nThe cell came apart: start closer to a minimum."),
            std::string::npos)
      << found.reason;
}

/// A step that no neighbor search can follow.
TEST(Relax, WhereTheWayLeadsNowhereItHasExploded) {
  RelaxOptions options;
  options.optimizer = OptimizerKind::Fire;
  options.fire.max_step = 1e12;
  options.fire.dt = 1e9;
  const Relaxed found = relaxed({pair_at(1.2)}, options)[0];
  EXPECT_EQ(found.status, RelaxStatus::Exploded);
  EXPECT_EQ(found.reason.find("after 1 steps: atom 0 is at ("), 0U) << found.reason;
  EXPECT_EQ(found.last.step, 0); // the last that could be computed
  EXPECT_EQ(found.last.structure.positions, pair_at(1.2).structure.positions);
}

TEST(Relax, CallersAreToldAndCanEndIt) {
  const Model model(small_spec());
  Potential potential(model);
  const std::vector<RelaxInput> inputs(5, pair_at(1.2));
  RelaxOptions options;
  options.atoms_at_once = 4;
  std::size_t n_frames = 0;
  std::size_t n_evaluations = 0;
  std::vector<std::size_t> done;
  RelaxEvents events;
  events.frame = [&](std::size_t input, const RelaxFrame& frame) {
    EXPECT_EQ(frame.structure.positions.size(), 2U);
    n_frames += input == 3 ? 1 : 0;
    return true;
  };
  events.progress = [&](std::size_t n_done, std::size_t all, std::size_t n) {
    EXPECT_EQ(all, 5U);
    EXPECT_TRUE(done.empty() || n_done >= done.back());
    done.push_back(n_done);
    n_evaluations = n;
    return true;
  };
  std::size_t n_steps = 0;
  events.finished = [&](std::size_t, const Relaxed& one) {
    n_steps += static_cast<std::size_t>(one.last.step);
    return true;
  };
  relax(model, potential, inputs, options, events);
  EXPECT_EQ(done.back(), 5U);
  EXPECT_EQ(n_evaluations, n_steps + 5);
  EXPECT_EQ(n_frames, n_steps / 5 + 1);

  int n_finished = 0;
  events = {};
  events.finished = [&](std::size_t, const Relaxed&) { return ++n_finished < 3; };
  relax(model, potential, inputs, options, events);
  EXPECT_EQ(n_finished, 3);
  int n_passes = 0;
  events = {};
  events.progress = [&](std::size_t, std::size_t, std::size_t) { return ++n_passes < 2; };
  relax(model, potential, inputs, options, events);
  EXPECT_EQ(n_passes, 2);
  n_frames = 0;
  events = {};
  events.frame = [&](std::size_t, const RelaxFrame&) { return ++n_frames < 3; };
  relax(model, potential, inputs, options, events);
  EXPECT_EQ(n_frames, 3U);
}

TEST(Relax, OptionsThatMakeNoSenseAreRefused) {
  const auto refused = [](const std::function<void(RelaxOptions&)>& spoil) {
    RelaxOptions options;
    spoil(options);
    return refusal(options);
  };
  const auto text = [](const std::string& name, const std::string& value) {
    return "RelaxOptions::" + name + " is " + value +
           ", expected a finite number above 0. Correct it.";
  };
  EXPECT_EQ(refused([](RelaxOptions&) {}), "");
  EXPECT_EQ(refused([](RelaxOptions& o) { o.fmax = 0.0; }), text("fmax", "0"));
  EXPECT_EQ(refused([](RelaxOptions& o) { o.fmax = kNan; }), text("fmax", "nan"));
  EXPECT_EQ(refused([](RelaxOptions& o) { o.lbfgs.alpha = -1; }), text("lbfgs.alpha", "-1"));
  EXPECT_EQ(refused([](RelaxOptions& o) { o.fire.dt = 0; }), text("fire.dt", "0"));
  EXPECT_EQ(refused([](RelaxOptions& o) { o.exploded_volume = kNan; }),
            text("exploded_volume", "nan"));
  EXPECT_EQ(refused([](RelaxOptions& o) { o.max_steps = -1; }),
            "RelaxOptions::max_steps is -1 and lbfgs.memory is 100, expected 0 or more and 1 or "
            "more. Correct them.");
  ModelSpec direct = small_spec();
  direct.forces = ForceKind::Direct;
  RelaxOptions options;
  options.relax_cell = true;
  EXPECT_EQ(refusal(options, direct),
            "random model: forces are direct, so there is no virial to relax cells with.\nRelax "
            "positions only, or use a model whose forces are gradients.");
}

TEST(Relax, NamesOfStatusesAndOptimizers) {
  EXPECT_EQ(name_of(RelaxStatus::Converged), "converged");
  EXPECT_EQ(name_of(RelaxStatus::MaxSteps), "max_steps");
  EXPECT_EQ(name_of(RelaxStatus::NotFinite), "nan");
  EXPECT_EQ(name_of(RelaxStatus::Exploded), "exploded");
  EXPECT_EQ(name_of(RelaxStatus::UnknownElement), "unknown_element");
  EXPECT_EQ(name_of(RelaxStatus::Invalid), "invalid");
  EXPECT_EQ(optimizer_from_name("lbfgs"), OptimizerKind::Lbfgs);
  EXPECT_EQ(optimizer_from_name("fire"), OptimizerKind::Fire);
  try {
    (void)optimizer_from_name("bfgs");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()), "optimizer \"bfgs\", expected lbfgs or fire.");
  }
}

// ---- what it is made of ----

TEST(Optimizers, ALongestRowThatIsNoNumberStays) {
  EXPECT_EQ(engine::longest_row({}), 0.0);
  EXPECT_EQ(engine::longest_row({1, 0, 0, 0, 3, 4, 0, 0, 2}), 5.0);
  EXPECT_TRUE(std::isnan(engine::longest_row({1, 0, 0, 0, kNan, 4, 0, 0, 2})));
}

TEST(Optimizers, AStepThatWasLostInRoundingTeachesNothing) {
  engine::Lbfgs optimizer({});
  const std::vector<double> x{1e8, 0, 0};
  const std::vector<double> forces{1e-9, 0, 0};
  std::vector<double> move;
  optimizer.step(x, forces, move);
  optimizer.step(x, forces, move); // x did not change
  EXPECT_EQ(move, (std::vector<double>{1e-9 / 70.0, 0, 0}));
}

TEST(Optimizers, LbfgsForgetsTheOldest) {
  LbfgsOptions options;
  options.memory = 2;
  engine::Lbfgs optimizer(options);
  engine::Lbfgs fresh(options);
  std::vector<double> x{0.3, -0.2, 0.5};
  std::vector<double> move;
  const auto force = [](const std::vector<double>& at) {
    return std::vector<double>{-at[0] * 5, -at[1] * 30, -at[2] * 90};
  };
  for (int k = 0; k < 6; ++k) {
    optimizer.step(x, force(x), move);
    if (k >= 3) { // from here on it has learnt what `optimizer` still remembers
      std::vector<double> of_fresh;
      fresh.step(x, force(x), of_fresh);
      if (k == 5) {
        EXPECT_LE(test::max_error(of_fresh, move), 1e-15);
      }
    }
    for (std::size_t a = 0; a < 3; ++a) {
      x[a] += move[a];
    }
  }
}

using engine::Matrix3;

Matrix3 some_matrix(double size) {
  return {0.3 * size,
          -0.1 * size,
          0.2 * size,
          0.05 * size,
          -0.2 * size,
          0.15 * size,
          -0.25 * size,
          0.1 * size,
          0.4 * size};
}

TEST(Matrix3, TheExponentialIsThePowerSeries) {
  for (const double size : {0.01, 1.0, 6.0}) {
    const Matrix3 a = some_matrix(size);
    Matrix3 term = engine::identity<3>();
    Matrix3 sum = term;
    for (int n = 1; n < 60; ++n) {
      term = engine::product<3>(term, a);
      for (std::size_t k = 0; k < 9; ++k) {
        term[k] /= n;
        sum[k] += term[k];
      }
    }
    EXPECT_LE(test::relative_error(engine::exponential<3>(a), sum), 1e-14);
  }
  Matrix3 spoilt = some_matrix(1.0);
  spoilt[4] = kNan;
  EXPECT_TRUE(std::isnan(engine::exponential<3>(spoilt)[4]));
}

TEST(Matrix3, ItsDerivativeIsTheDifferenceOfExponentials) {
  const Matrix3 a = some_matrix(0.5);
  for (std::size_t k = 0; k < 9; ++k) {
    Matrix3 direction{};
    direction[k] = 1.0;
    Matrix3 up = a;
    Matrix3 down = a;
    up[k] += 1e-4;
    down[k] -= 1e-4;
    Matrix3 slope = engine::exponential<3>(up);
    const Matrix3 of_down = engine::exponential<3>(down);
    for (std::size_t j = 0; j < 9; ++j) {
      slope[j] = (slope[j] - of_down[j]) / 2e-4;
    }
    EXPECT_LE(test::max_error(engine::exponential_derivative(a, direction), slope), 1e-8);
  }
}

TEST(Matrix3, AMatrixTimesItsInverseIsOne) {
  Matrix3 a = some_matrix(1.0);
  a[0] += 2.0;
  EXPECT_LE(test::max_error(engine::product<3>(a, engine::inverse(a)), engine::identity<3>()),
            1e-15);
}

} // namespace
} // namespace eqnn
