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
#include <numeric>
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
      fold_edges(edges, expected.edge_gradient, forces.data(), virial.data(), atom_virial.data());
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
            "random model predicts the mean energy per atom, so that no part of it is that of free "
            "atoms.\nAsk for EnergyZero::Model.");
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
