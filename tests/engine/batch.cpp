// SPDX-License-Identifier: BSD-3-Clause
// Many structures in one call: the results of each alone, and a reason for each that fails.
#include "eqnn/batch.hpp"

#include "engine/pack.hpp"
#include "eqnn/neighbors.hpp"
#include "support/random_model.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <string>

namespace eqnn {
namespace {

ModelSpec small_spec() {
  test::RandomModelOptions options;
  options.channels = 8;
  options.heads = 2;
  options.blocks = 1;
  return test::random_model(options);
}

std::vector<Structure> some_structures(const ModelSpec& spec) {
  std::vector<Structure> out;
  std::uint32_t seed = 3;
  for (const int n : {7, 1, 12, 3, 5, 2, 16, 4, 9}) {
    const test::Structure s = test::random_structure(n, spec.species, 0.05, 1.1, seed++);
    out.push_back({s.numbers, s.positions, n % 3 == 0 ? std::nullopt : s.cell});
  }
  return out;
}

Structure pair_at(double distance, std::int32_t other = 6) {
  return {{1, other}, {{0, 0, 0}, {0, 0, distance}}, std::nullopt};
}

TEST(EvaluateStructures, GivesEachWhatItGetsAloneWhateverTheSizeOfAPass) {
  const Model model(small_spec());
  Potential potential(model);
  const std::vector<Structure> structures = some_structures(model.spec());
  BatchOptions options;
  options.wanted = {true, true, false};
  for (const std::int32_t at_once : {0, 1, 2, 10, 20, 1000}) {
    options.atoms_at_once = at_once;
    const auto results = evaluate_structures(model, potential, structures, options);
    ASSERT_EQ(results.size(), structures.size());
    for (std::size_t k = 0; k < results.size(); ++k) {
      const Structure& s = structures[k];
      const Observables& alone = potential.evaluate(
          edges_of(s.numbers, s.positions, s.cell, model.species(), model.cutoff()),
          options.wanted);
      EXPECT_EQ(results[k].failure, Failure::None);
      EXPECT_EQ(results[k].reason, "");
      EXPECT_EQ(results[k].energy, alone.energy);
      EXPECT_EQ(results[k].atom_energy, alone.atom_energy);
      EXPECT_EQ(results[k].forces, alone.forces);
      EXPECT_EQ(results[k].virial, alone.virial);
    }
  }
}

TEST(EvaluateStructures, EachFailureHasItsReasonAndStopsNoOther) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Model model(small_spec());
  Potential potential(model);
  Structure no_volume = pair_at(1.0);
  no_volume.cell = {1, 0, 0, 2, 0, 0, 0, 0, 1};
  Structure nan_cell = pair_at(1.0);
  nan_cell.cell = {nan, 0, 0, 0, 5, 0, 0, 0, 5};
  Structure too_few = pair_at(1.0);
  too_few.positions.pop_back();

  struct Bad {
    Structure structure;
    Failure failure;
    std::string reason;
  };

  const std::vector<Bad> bad{
      {pair_at(1.0, 26),
       Failure::UnknownElement,
       "atom 1 is Fe, which the model does not know, expected one of H, C, O.\nUse a model that "
       "knows all elements of the structure."},
      {pair_at(0.0),
       Failure::Invalid,
       "node 1 is 0 Angstrom from atom 0, expected at least 1e-06.\nTwo atoms coincide or a "
       "coordinate is not finite: check the structure, the box and the time step."},
      {pair_at(nan),
       Failure::NotFinite,
       "atom 1 is at (0, 0, nan), expected finite coordinates.\nCorrect the structure."},
      {nan_cell,
       Failure::NotFinite,
       "a lattice vector has a component of nan, expected at most 1e+08 Angstrom.\nCorrect the "
       "cell."},
      {no_volume,
       Failure::Invalid,
       "the cell's volume is 0 A^3, expected above 1e-06.\nGive three lattice vectors that are not "
       "in one plane, or no cell if nothing is periodic."},
      {{}, Failure::Invalid, "there are no atoms, expected one or more. Correct the structure."},
      {too_few,
       Failure::Invalid,
       "2 atomic numbers for 1 positions, expected one for each. Correct the structure."},
  };
  std::vector<Structure> structures;
  for (const Bad& one : bad) {
    structures.push_back(pair_at(1.0 + 0.1 * static_cast<double>(structures.size())));
    structures.push_back(one.structure);
  }
  for (const std::int32_t at_once : {0, 1, 5}) {
    BatchOptions options;
    options.atoms_at_once = at_once;
    const auto results = evaluate_structures(model, potential, structures, options);
    ASSERT_EQ(results.size(), structures.size());
    for (std::size_t k = 0; k < results.size(); ++k) {
      if (k % 2 == 0) {
        EXPECT_EQ(results[k].failure, Failure::None) << results[k].reason;
        EXPECT_TRUE(std::isfinite(results[k].energy));
      } else {
        EXPECT_EQ(results[k].failure, bad[k / 2].failure) << results[k].reason;
        EXPECT_EQ(results[k].reason, bad[k / 2].reason);
        EXPECT_TRUE(std::isnan(results[k].energy));
        EXPECT_TRUE(std::isnan(results[k].virial[0]));
        EXPECT_TRUE(results[k].forces.empty());
      }
    }
  }
}

TEST(EvaluateStructures, AResultThatIsNotFiniteIsAFailure) {
  ModelSpec spec = small_spec();
  spec.energy.reference[1] = std::numeric_limits<double>::infinity();
  const Model model(spec);
  Potential potential(model);
  const auto results =
      evaluate_structures(model, potential, {pair_at(1.0), pair_at(1.0, 8), pair_at(1.1)});
  EXPECT_EQ(results[0].failure, Failure::NotFinite);
  EXPECT_EQ(results[0].reason,
            "the energy of atom 1 is inf, expected a finite number.\nThe structure is far outside "
            "the training data, or the precision is too low: try precision double.");
  EXPECT_EQ(results[1].failure, Failure::None);
  EXPECT_EQ(results[2].failure, Failure::NotFinite);
}

TEST(EvaluateStructures, WhereAPassFailsAsAWholeEachIsTriedAlone) {
  const Model model(small_spec());
  Potential potential(model);
  std::map<std::size_t, StructureResult> results;
  engine::Pass pass(potential, {true, true, false}, [&](std::size_t tag, StructureResult result) {
    EXPECT_EQ(results.count(tag), 0U);
    results[tag] = std::move(result);
  });
  const std::vector<Structure> structures = some_structures(model.spec());
  const std::size_t bad = 4;
  std::vector<EdgeList> edges;
  for (const Structure& s : structures) {
    edges.push_back(edges_of(s.numbers, s.positions, s.cell, model.species(), model.cutoff()));
  }
  edges[bad].species[0] = 77;
  for (std::size_t k = 0; k < edges.size(); ++k) {
    pass.add(k, edges[k]);
  }
  pass.run();
  ASSERT_EQ(results.size(), structures.size());
  for (std::size_t k = 0; k < structures.size(); ++k) {
    if (k == bad) {
      EXPECT_EQ(results[k].failure, Failure::Invalid);
      // Named as the structure has it, and not as the pass had it.
      EXPECT_NE(results[k].reason.find("EdgeList::species[0] is 77, expected one of the 3 species"),
                std::string::npos)
          << results[k].reason;
      continue;
    }
    const Observables& alone = potential.evaluate(edges[k], {true, true, false});
    EXPECT_EQ(results[k].failure, Failure::None) << results[k].reason;
    EXPECT_EQ(results[k].energy, alone.energy);
    EXPECT_EQ(results[k].forces, alone.forces);
    EXPECT_EQ(results[k].virial, alone.virial);
  }
  EXPECT_EQ(pass.n_atoms(), 0);
}

TEST(EvaluateStructures, AFailureHasAName) {
  EXPECT_EQ(name_of(Failure::None), "ok");
  EXPECT_EQ(name_of(Failure::UnknownElement), "unknown_element");
  EXPECT_EQ(name_of(Failure::NotFinite), "nan");
  EXPECT_EQ(name_of(Failure::Invalid), "invalid");
}

TEST(EvaluateStructures, ProgressIsToldAfterEachPassAndCanEndTheCall) {
  const Model model(small_spec());
  Potential potential(model);
  const std::vector<Structure> structures(5, pair_at(1.0));
  BatchOptions options;
  options.atoms_at_once = 4;
  std::vector<std::size_t> told;
  options.progress = [&](std::size_t done, std::size_t all) {
    EXPECT_EQ(all, 5U);
    told.push_back(done);
    return true;
  };
  EXPECT_EQ(evaluate_structures(model, potential, structures, options).size(), 5U);
  EXPECT_EQ(told, (std::vector<std::size_t>{2, 4, 5}));
  options.progress = [](std::size_t done, std::size_t) { return done < 4; };
  const auto results = evaluate_structures(model, potential, structures, options);
  ASSERT_EQ(results.size(), 4U);
  EXPECT_EQ(results[3].energy, results[0].energy);
  EXPECT_TRUE(std::isfinite(results[3].energy));
}

TEST(EvaluateStructures, NoStructuresAreNoTrouble) {
  const Model model(small_spec());
  Potential potential(model);
  EXPECT_TRUE(evaluate_structures(model, potential, {}).empty());
}

} // namespace
} // namespace eqnn
