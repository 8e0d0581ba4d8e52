// SPDX-License-Identifier: BSD-3-Clause
// The public face: edges in, observables out, against the reference evaluator and plain sums.
#include "eqnn/potential.hpp"

#include "base/error.hpp"
#include "engine/fold_edges.hpp"
#include "eqnn/self_test.hpp"
#include "reference/evaluate.hpp"
#include "support/compare.hpp"
#include "support/random_model.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>

namespace eqnn::test {
namespace {

// Sums of some thousand terms in another order, amplified by a few layers.
constexpr double kTolerance = 1e-12;

ModelSpec spec_of(EnergySemantics semantics) {
  RandomModelOptions options;
  options.channels = 8;
  options.heads = 2;
  options.blocks = 1;
  ModelSpec spec = random_model(options);
  spec.energy.semantics = semantics;
  return spec;
}

EdgeList edges_of_some(const ModelSpec& spec, int n_atoms = 6) {
  return edges_of(
      spec, n_atoms == 0 ? Structure{} : random_structure(n_atoms, spec.species, 0.1, 1.0, 5));
}

std::string refusal(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Potential, ObservablesAreThoseOfTheReferenceEvaluator) {
  for (const auto semantics : {EnergySemantics::Extensive, EnergySemantics::MeanPerAtom}) {
    const ModelSpec spec = spec_of(semantics);
    Potential potential{Model(spec)};
    for (const int n_atoms : {0, 1, 6}) {
      const EdgeList edges = edges_of_some(spec, n_atoms);
      const Outputs expected = reference::evaluate(spec, edges).outputs;
      const Observables& found = potential.evaluate(edges, {true, true, true});
      const double size = std::max(1.0, max_size(expected.energy));
      EXPECT_LE(max_error(found.atom_energy, expected.energy), kTolerance * size);
      EXPECT_LE(std::abs(found.energy -
                         std::accumulate(expected.energy.begin(), expected.energy.end(), 0.0)),
                kTolerance * size * std::max(1, n_atoms));
      std::vector<double> forces(3 * static_cast<std::size_t>(n_atoms), 0.0);
      std::vector<double> virial(9, 0.0);
      std::vector<double> atom_virial(9 * static_cast<std::size_t>(n_atoms), 0.0);
      engine::fold_edges(
          edges, expected.edge_gradient, forces.data(), virial.data(), atom_virial.data());
      const double gradient = std::max(1e-2, max_size(expected.edge_gradient));
      EXPECT_LE(max_error(found.forces, forces), 100 * kTolerance * gradient);
      EXPECT_LE(max_error(found.virial, virial), 100 * kTolerance * gradient);
      EXPECT_LE(max_error(found.atom_virial, atom_virial), 100 * kTolerance * gradient);
    }
  }
}

/// As if other ranks had some atoms more.
class OfMany final : public NoHalo {
public:
  explicit OfMany(double others)
      : others_(others) {}

  double sum(double term) override {
    ++n_sums;
    return term + others_;
  }

  int n_sums = 0;

private:
  double others_;
};

TEST(Potential, MeansPerAtomCountTheAtomsOfAllRanks) {
  const ModelSpec extensive = spec_of(EnergySemantics::Extensive);
  ModelSpec spec = spec_of(EnergySemantics::MeanPerAtom);
  const EdgeList edges = edges_of_some(spec);
  Potential plain{Model(extensive)};
  const Observables of_one = plain.evaluate(edges);
  Potential potential{Model(spec)};
  OfMany halo(5.0); // 6 + 5
  const Observables of_all = potential.evaluate(edges, halo);
  EXPECT_EQ(halo.n_sums, 1);
  for (std::size_t i = 0; i < of_one.atom_energy.size(); ++i) {
    const double offset =
        spec.energy.shift + spec.energy.reference[static_cast<std::size_t>(edges.species[i])];
    EXPECT_LE(std::abs(of_all.atom_energy[i] - (11.0 * (of_one.atom_energy[i] - offset) + offset)),
              kTolerance * std::max(1.0, std::abs(of_all.atom_energy[i])));
  }
  std::vector<double> forces = of_one.forces;
  for (double& f : forces) {
    f *= 11.0;
  }
  EXPECT_LE(relative_error(of_all.forces, forces), kTolerance);

  // A rank without atoms takes part; where energies are extensive nobody is asked.
  (void)potential.evaluate(edges_of(spec, Structure{}), halo);
  EXPECT_EQ(halo.n_sums, 2);
  (void)plain.evaluate(edges, halo);
  EXPECT_EQ(halo.n_sums, 2);
}

TEST(Potential, EnergiesOfFreeAtomsAreThoseOfAtomsAlone) {
  for (const auto semantics : {EnergySemantics::Extensive, EnergySemantics::MeanPerAtom}) {
    ModelSpec spec = spec_of(semantics);
    spec.energy.isolated_atoms_are_zero = false; // then what a mean counts shows
    Potential potential{Model(spec)};
    const std::vector<double> found = potential.free_atom_energies();
    std::vector<double> expected;
    for (const std::int32_t number : spec.species) {
      const EdgeList alone = edges_of(spec, Structure{{number}, {{0.0, 0.0, 0.0}}, std::nullopt});
      expected.push_back(reference::evaluate(spec, alone).outputs.energy.front());
    }
    EXPECT_LE(relative_error(found, expected), kTolerance);
  }
}

TEST(Potential, EnergiesRelativeToFreeAtoms) {
  const Model model(spec_of(EnergySemantics::Extensive));
  const EdgeList edges = edges_of_some(model.spec());
  PotentialOptions options;
  options.energy_zero = EnergyZero::FreeAtoms;
  Potential plain(model);
  Potential relative(model, options);
  const std::vector<double> zero = plain.free_atom_energies();
  EXPECT_EQ(relative.free_atom_energies(), zero); // they themselves are not relative
  const Observables expected = plain.evaluate(edges);
  const Observables& found = relative.evaluate(edges);
  for (std::size_t i = 0; i < found.atom_energy.size(); ++i) {
    EXPECT_EQ(found.atom_energy[i],
              expected.atom_energy[i] - zero[static_cast<std::size_t>(edges.species[i])]);
  }
  EXPECT_EQ(found.forces, expected.forces);
}

TEST(Potential, SelfTestsDoNotDependOnTheZeroOfEnergies) {
  ModelSpec spec = spec_of(EnergySemantics::Extensive);
  const Structure structure = random_structure(5, spec.species, 0.1, 1.0, 3);
  SelfTest test;
  test.numbers = structure.numbers;
  test.positions = structure.positions;
  test.cell = structure.cell;
  {
    Potential potential{Model(spec)};
    const Observables& found = potential.evaluate(edges_of(spec, structure), {true, true, false});
    test.energy = found.energy;
    test.virial = found.virial;
    for (std::size_t i = 0; i < structure.numbers.size(); ++i) {
      test.forces.push_back(
          {found.forces[3 * i], found.forces[3 * i + 1], found.forces[3 * i + 2]});
    }
  }
  spec.self_tests.push_back(test);
  const Model model(spec);
  for (const auto zero : {EnergyZero::Model, EnergyZero::FreeAtoms}) {
    PotentialOptions options;
    options.energy_zero = zero;
    Potential potential(model, options);
    const SelfTestResult result = run_self_tests(model, potential);
    EXPECT_EQ(result.n_structures, 1);
    EXPECT_LE(result.energy_error, 1e-12);
    EXPECT_EQ(result.force_error, 0.0);
    EXPECT_EQ(result.virial_error, 0.0);
    EXPECT_EQ(refusal([&] { require_passed(result, model, Precision::Double); }), "");
  }
  spec.self_tests.front().energy += 1.0;
  const Model wrong(spec);
  Potential potential(wrong);
  const SelfTestResult result = run_self_tests(wrong, potential);
  EXPECT_NE(refusal([&] {
              require_passed(result, wrong, Precision::Double);
            }).find("random model: the self-test fails in double precision: errors of "),
            std::string::npos);
}

TEST(Potential, RefusesFreeAtomsOfAMean) {
  const Model model(spec_of(EnergySemantics::MeanPerAtom));
  PotentialOptions options;
  options.energy_zero = EnergyZero::FreeAtoms;
  EXPECT_EQ(refusal([&] { const Potential potential(model, options); }),
            "random model predicts the mean energy per atom, so the energies of free atoms cannot "
            "be left out.\nUse EnergyZero::Model.");
}

TEST(Potential, RefusesGhostsWithoutAnExchange) {
  const ModelSpec spec = spec_of(EnergySemantics::Extensive);
  EdgeList edges = edges_of_some(spec);
  ++edges.n_nodes;
  edges.species.push_back(0);
  Potential potential{Model(spec)};
  EXPECT_EQ(refusal([&] { (void)potential.evaluate(edges); }),
            "the edges have 1 ghosts and no HaloExchange, expected none.\nGive periodic images as "
            "edges, as edges_of() does, or an exchange.");
}

struct BadEdges {
  std::string name;
  std::function<void(EdgeList&)> spoil;
  std::string expected;
};

void PrintTo(const BadEdges& edges, std::ostream* to) { *to << edges.name; }

/// Three atoms in a row, 1 Angstrom apart, each an edge to the next and back.
EdgeList row_of_three() {
  EdgeList edges;
  edges.n_centers = edges.n_nodes = 3;
  edges.species = {0, 1, 0};
  edges.begin = {0, 1, 3, 4};
  edges.source = {1, 0, 2, 1};
  edges.vector = {1, 0, 0, -1, 0, 0, 1, 0, 0, -1, 0, 0};
  return edges;
}

const std::vector<BadEdges> kBadEdges{
    {"NegativeCenters",
     [](EdgeList& e) { e.n_centers = -1; },
     "EdgeList::n_centers is -1 and n_nodes is 3, expected 0 <= n_centers <= n_nodes.\nNodes are "
     "the owned atoms and then the ghosts."},
    {"FewerNodesThanCenters",
     [](EdgeList& e) { e.n_nodes = 2; },
     "EdgeList::n_centers is 3 and n_nodes is 2, expected 0 <= n_centers <= n_nodes.\nNodes are "
     "the owned atoms and then the ghosts."},
    {"SpeciesOfTooFew",
     [](EdgeList& e) { e.species.pop_back(); },
     "EdgeList::species has 2 entries, expected 3 (n_nodes).\nGive each node, ghosts included, "
     "its row in Model::species()."},
    {"BeginWithoutItsEnd",
     [](EdgeList& e) { e.begin.pop_back(); },
     "EdgeList::begin has 3 entries, expected 4 (n_centers + 1).\nbegin[i] is the first edge of "
     "atom i; the last entry is the number of edges."},
    {"NoBegin",
     [](EdgeList& e) { e.begin.clear(); },
     "EdgeList::begin has 0 entries, expected 4 (n_centers + 1).\nbegin[i] is the first edge of "
     "atom i; the last entry is the number of edges."},
    {"VectorOfTwo",
     [](EdgeList& e) { e.vector.pop_back(); },
     "EdgeList::vector has 11 entries, expected 12 (3 for each of EdgeList::source).\nGive each "
     "edge its source and the three components of its vector."},
    {"EdgesOfNobody",
     [](EdgeList& e) { e = EdgeList{0, 0, {}, {}, {0}, {1, 0, 0}, {}}; },
     "EdgeList::begin goes from 0 to 0, expected from 0 to 1, the number of edges.\nbegin[i] is "
     "the first edge of atom i, in the order of source."},
    {"BeginAtOne",
     [](EdgeList& e) { e.begin.front() = 1; },
     "EdgeList::begin goes from 1 to 4, expected from 0 to 4, the number of edges.\nbegin[i] is "
     "the first edge of atom i, in the order of source."},
    {"BeginBeyondTheEdges",
     [](EdgeList& e) { e.begin.back() = 5; },
     "EdgeList::begin goes from 0 to 5, expected from 0 to 4, the number of edges.\nbegin[i] is "
     "the first edge of atom i, in the order of source."},
    {"BeginThatFalls",
     [](EdgeList& e) { e.begin[1] = 4; },
     "EdgeList::begin[2] is 3 after 4, expected no decrease.\nGive edges by atom: those of atom 0, "
     "then those of atom 1, ..."},
    {"NegativeSource",
     [](EdgeList& e) { e.source[2] = -1; },
     "EdgeList::source[2] is -1, expected one of the 3 nodes, counted from 0.\nNodes are the "
     "owned atoms and then the ghosts."},
    {"SourceBeyondTheNodes",
     [](EdgeList& e) { e.source[3] = 3; },
     "EdgeList::source[3] is 3, expected one of the 3 nodes, counted from 0.\nNodes are the owned "
     "atoms and then the ghosts."},
    {"AtomicNumbers",
     [](EdgeList& e) { e.species[1] = 8; },
     "EdgeList::species[1] is 8, expected one of the 3 species of the model, counted from 0.\nGive "
     "rows of Model::species(), not atomic numbers or types."},
    {"NegativeSpecies",
     [](EdgeList& e) { e.species[0] = -1; },
     "EdgeList::species[0] is -1, expected one of the 3 species of the model, counted from "
     "0.\nGive rows of Model::species(), not atomic numbers or types."},
    {"BeyondTheCutoff",
     [](EdgeList& e) { e.vector[6] = 20.0; },
     "node 2 is 20 Angstrom from atom 1, expected an edge below the model's cutoff of 4.\nLeave "
     "out longer edges: a neighbor list with a skin has some."},
    {"OnTopOfEachOther",
     [](EdgeList& e) { e.vector[6] = 0.0; },
     "node 2 is 0 Angstrom from atom 1, expected at least 1e-06.\nTwo atoms coincide or a "
     "coordinate is not finite: check the structure, the box and the time step."},
    {"NotANumber",
     [](EdgeList& e) { e.vector[8] = std::nan(""); },
     "node 2 is nan Angstrom from atom 1, expected at least 1e-06.\nTwo atoms coincide or a "
     "coordinate is not finite: check the structure, the box and the time step."}};

class RefusedEdges : public testing::TestWithParam<BadEdges> {
protected:
  static void SetUpTestSuite() {
    potential_ = std::make_unique<Potential>(Model(spec_of(EnergySemantics::Extensive)));
  }

  static void TearDownTestSuite() { potential_.reset(); }

  static std::string refused(const EdgeList& edges) {
    return refusal([&] { (void)potential_->evaluate(edges); });
  }

  static std::string refused(const EdgeList& edges, HaloExchange& halo) {
    return refusal([&] { (void)potential_->evaluate(edges, halo); });
  }

private:
  static inline std::unique_ptr<Potential> potential_;
};

TEST_P(RefusedEdges, AreRefusedInTheseWordsAndNothingIsRead) {
  EdgeList edges = row_of_three();
  ASSERT_EQ(refused(edges), "");
  GetParam().spoil(edges);
  EXPECT_EQ(refused(edges), GetParam().expected);
  NoHalo halo; // on several ranks the others are told
  EXPECT_EQ(refused(edges, halo), GetParam().expected);
  edges = row_of_three();
  EXPECT_EQ(refused(edges), "") << "a refusal leaves a trace";
}

TEST_P(RefusedEdges, AreNoSoundEdgesWhateverTheModel) {
  EdgeList edges = row_of_three();
  ASSERT_EQ(refusal([&] { require_sound_edges(edges); }), "");
  GetParam().spoil(edges);
  const bool needs_a_model =
      GetParam().expected.find("model") != std::string::npos; // its species, its cutoff
  EXPECT_EQ(refusal([&] { require_sound_edges(edges); }), needs_a_model ? "" : GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(All, RefusedEdges, testing::ValuesIn(kBadEdges), [](const auto& of) {
  return of.param.name;
});

TEST(Potential, AnEdgeListWithNothingInItIsNoAtom) {
  Potential potential{Model(spec_of(EnergySemantics::Extensive))};
  EXPECT_EQ(refusal([] { require_sound_edges({}); }), "");
  const Observables& found = potential.evaluate(EdgeList{});
  EXPECT_EQ(found.energy, 0.0);
  EXPECT_TRUE(found.forces.empty());
}

TEST(Potential, AnEdgeMayReachTheCutoffByRounding) {
  const ModelSpec spec = spec_of(EnergySemantics::Extensive);
  Potential potential{Model(spec)};
  EdgeList edges = row_of_three();
  edges.vector[0] = spec.cutoff * (1.0 + 1e-14);
  EXPECT_EQ(refusal([&] { (void)potential.evaluate(edges); }), "");
}

TEST(Potential, WhatAnExchangeThrowsComesThroughAndLeavesNoTrace) {
  class Broken final : public NoHalo {
  public:
    using NoHalo::forward;

    bool exchanges() const override { return true; }

    void forward(NodeRows<double> /*rows*/) override { throw std::domain_error("no line"); }
  };

  const ModelSpec spec = spec_of(EnergySemantics::Extensive);
  const EdgeList edges = edges_of_some(spec);
  Potential potential{Model(spec)};
  const Observables expected = potential.evaluate(edges);
  Broken halo;
  EXPECT_THROW((void)potential.evaluate(edges, halo), std::domain_error);
  const Observables& found = potential.evaluate(edges);
  EXPECT_EQ(found.atom_energy, expected.atom_energy);
  EXPECT_EQ(found.forces, expected.forces);
}

TEST(Potential, TheFirstOfAProcessDecidesTheThreads) {
  const Model model(spec_of(EnergySemantics::Extensive));
  const int n_threads = Potential(model).n_threads();
  PotentialOptions options;
  options.n_threads = n_threads + 1;
  EXPECT_EQ(Potential(model, options).n_threads(), n_threads);
}

TEST(Potential, RefusesMethodsThatItDoesNotKnow) {
  const Model model(spec_of(EnergySemantics::Extensive));
  PotentialOptions options;
  options.products = "fast";
  EXPECT_EQ(refusal([&] { const Potential potential(model, options); }),
            "products \"fast\", expected sparse, grid or fourier.");
  options = {};
  options.convolutions = "fast";
  EXPECT_EQ(refusal([&] { const Potential potential(model, options); }),
            "convolutions \"fast\", expected sparse or aligned.");
  options = {};
  options.couplings = "fast";
  EXPECT_EQ(refusal([&] { const Potential potential(model, options); }),
            "couplings \"fast\", expected matrix, cp or node.");
}

TEST(Potential, SaysWhatItExecutes) {
  const Model model(spec_of(EnergySemantics::Extensive));
  const std::string text = Potential(model).plan();
  EXPECT_EQ(text.compare(0, 10, "radial 0: "), 0) << text;
  EXPECT_NE(text.find("\nenergy += readout of "), std::string::npos) << text;
  EXPECT_EQ(text.back(), '\n');
}

TEST(Potential, EnergiesAloneAreTheSameEnergies) {
  const ModelSpec spec = spec_of(EnergySemantics::Extensive);
  const EdgeList edges = edges_of_some(spec);
  Potential potential{Model(spec)};
  const Observables all = potential.evaluate(edges, {true, true, true});
  const Observables& energies = potential.evaluate(edges, {false, false, false});
  EXPECT_EQ(energies.atom_energy, all.atom_energy);
  EXPECT_TRUE(energies.forces.empty());
}

TEST(Potential, AWarmStepTakesNoMemoryAndAllThatIsHeldIsCounted) {
  const ModelSpec spec = spec_of(EnergySemantics::MeanPerAtom);
  const EdgeList edges = edges_of_some(spec, 30);
  Potential potential{Model(spec)};
  const Observables* found = &potential.evaluate(edges, {true, false, false});
  const std::size_t without = potential.bytes_used();
  found = &potential.evaluate(edges, {true, true, true});
  const std::size_t before = potential.bytes_used();
  EXPECT_GE(before, without + 9 * 30 * sizeof(double));
  EXPECT_GE(without, (3 * edges.source.size() + 5 * 30) * sizeof(double));
  const double* const places[] = {
      found->atom_energy.data(), found->forces.data(), found->atom_virial.data()};
  found = &potential.evaluate(edges, {true, true, true});
  EXPECT_EQ(found->atom_energy.data(), places[0]);
  EXPECT_EQ(found->forces.data(), places[1]);
  EXPECT_EQ(found->atom_virial.data(), places[2]);
  EXPECT_EQ(potential.bytes_used(), before);
}

TEST(Potential, FailuresEndAllRanksBeforeTheyExchange) {
  class Recorder final : public NoHalo {
  public:
    using NoHalo::forward;

    bool exchanges() const override { return true; }

    void forward(NodeRows<double> /*rows*/) override { ++n_exchanges; }

    void agree(const std::string& failure) override {
      failures.push_back(failure);
      NoHalo::agree(failure);
    }

    int n_exchanges = 0;
    std::vector<std::string> failures;
  };

  const ModelSpec spec = spec_of(EnergySemantics::Extensive);
  EdgeList edges = edges_of_some(spec);
  Potential potential{Model(spec)};
  Recorder halo;
  (void)potential.evaluate(edges, halo);
  EXPECT_EQ(halo.failures, (std::vector<std::string>{"", ""})); // before and after
  EXPECT_GE(halo.n_exchanges, 1);
  edges.vector.at(0) = edges.vector.at(1) = edges.vector.at(2) = 0.0;
  Recorder broken;
  EXPECT_NE(refusal([&] { (void)potential.evaluate(edges, broken); }), "");
  EXPECT_EQ(broken.failures.size(), 1U);
  EXPECT_EQ(broken.n_exchanges, 0);
}

TEST(Potential, WhatExchangesNothingIsNotAsked) {
  class Counter final : public NoHalo {
  public:
    using NoHalo::forward;

    void forward(NodeRows<double> /*rows*/) override { ++n_exchanges; }

    int n_exchanges = 0;
  };

  const ModelSpec spec = spec_of(EnergySemantics::Extensive);
  const EdgeList edges = edges_of_some(spec);
  Potential potential{Model(spec)};
  Counter halo;
  (void)potential.evaluate(edges, halo);
  EXPECT_EQ(halo.n_exchanges, 0);
}

} // namespace
} // namespace eqnn::test
