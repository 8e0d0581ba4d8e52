// SPDX-License-Identifier: BSD-3-Clause
// Energies of atoms against sums written out by hand, and seeds against differences of energies.
#include "engine/energies.hpp"

#include "support/compare.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

namespace eqnn::engine {
namespace {

/// Four atoms of two species; the third has no neighbors.
EdgeList four_atoms() {
  EdgeList edges;
  edges.n_centers = edges.n_nodes = 4;
  edges.species = {0, 1, 1, 0};
  edges.begin = {0, 1, 2, 2, 4};
  edges.source = {1, 0, 0, 1};
  edges.vector.assign(12, 1.0);
  return edges;
}

const std::vector<double> kNetwork{0.5, -1.25, 3.0, 2.0};

EnergyScale scale_of(EnergySemantics semantics, bool isolated_atoms_are_zero = false) {
  EnergyScale scale;
  scale.semantics = semantics;
  scale.scale = {1.5, 0.7};
  scale.shift = -0.3;
  scale.reference = {-13.6, -1030.0};
  scale.isolated_atoms_are_zero = isolated_atoms_are_zero;
  return scale;
}

struct Applied {
  std::vector<double> energy, seed;
};

Applied
apply(const Energies& energies, double factor, const std::vector<double>& network = kNetwork) {
  Outputs outputs;
  outputs.energy = network;
  Applied applied;
  energies.apply(four_atoms(), factor, outputs, applied.seed);
  applied.energy = outputs.energy;
  return applied;
}

TEST(Energies, ExtensiveOnesAreScaledAndShiftedAtomByAtom) {
  const Energies energies(scale_of(EnergySemantics::Extensive));
  EXPECT_FALSE(energies.are_means());
  const Applied found = apply(energies, 1.0);
  const std::vector<double> expected{1.5 * 0.5 - 0.3 - 13.6,
                                     0.7 * -1.25 - 0.3 - 1030.0,
                                     0.7 * 3.0 - 0.3 - 1030.0,
                                     1.5 * 2.0 - 0.3 - 13.6};
  EXPECT_LE(test::max_error(found.energy, expected), 4e-13); // rounding of 1030
  EXPECT_EQ(found.seed, (std::vector<double>{1.5, 0.7, 0.7, 1.5}));
}

TEST(Energies, MeansPerAtomSumUpToTheTotalThatTheMeanStandsFor) {
  const EnergyScale scale = scale_of(EnergySemantics::MeanPerAtom);
  const Energies energies(scale);
  EXPECT_TRUE(energies.are_means());
  for (const double n : {4.0, 11.0}) { // 11: other ranks have seven
    const Applied found = apply(energies, n);
    // E = N s sum_i e_i + sum_i (b + E0_i)
    double expected = 0.0;
    for (std::size_t i = 0; i < 4; ++i) {
      const auto z = static_cast<std::size_t>(four_atoms().species[i]);
      expected += n * scale.scale[z] * kNetwork[i] + scale.shift + scale.reference[z];
    }
    EXPECT_LE(std::abs(std::accumulate(found.energy.begin(), found.energy.end(), 0.0) - expected),
              1e-12 * std::abs(expected));
    EXPECT_LE(test::max_error(found.seed, std::vector<double>{n * 1.5, n * 0.7, n * 0.7, n * 1.5}),
              1e-14 * n);
  }
}

TEST(Energies, SeedsAreTheDerivativesByWhatTheNetworkGave) {
  for (const auto semantics : {EnergySemantics::Extensive, EnergySemantics::MeanPerAtom}) {
    const Energies energies(scale_of(semantics, true));
    const double factor = semantics == EnergySemantics::MeanPerAtom ? 4.0 : 1.0;
    const Applied at = apply(energies, factor);
    for (std::size_t i = 0; i < 4; ++i) {
      std::vector<double> moved = kNetwork;
      moved[i] += 0.5;
      const Applied other = apply(energies, factor, moved);
      for (std::size_t k = 0; k < 4; ++k) {
        const double slope = (other.energy[k] - at.energy[k]) / 0.5;
        EXPECT_LE(std::abs(slope - (k == i ? at.seed[i] : 0.0)), 1e-12) << i << " " << k;
      }
    }
  }
}

TEST(Energies, IsolatedAtomsHaveTheirReferenceOnlyWhateverTheNetworkGives) {
  const Energies energies(scale_of(EnergySemantics::Extensive, true));
  Outputs outputs;
  outputs.energy = kNetwork;
  outputs.energy[2] = std::numeric_limits<double>::quiet_NaN(); // norms divide by nothing
  outputs.direct_forces.assign(12, 1.0);
  std::vector<double> seed;
  energies.apply(four_atoms(), 1.0, outputs, seed);
  EXPECT_EQ(outputs.energy[2], -0.3 - 1030.0);
  EXPECT_EQ(seed, (std::vector<double>{1.5, 0.7, 0.0, 1.5}));
  EXPECT_EQ(outputs.direct_forces, (std::vector<double>{1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 1, 1}));
  const Energies with_network(scale_of(EnergySemantics::Extensive));
  EXPECT_EQ(apply(with_network, 1.0).seed[2], 0.7);
}

TEST(Energies, AnotherZeroMovesEnergiesAndNotTheirDerivatives) {
  Energies energies(scale_of(EnergySemantics::Extensive));
  const Applied before = apply(energies, 1.0);
  energies.set_zero({-13.9, -1030.5});
  const Applied after = apply(energies, 1.0);
  const std::vector<double> zero{-13.9, -1030.5, -1030.5, -13.9};
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(after.energy[i], before.energy[i] - zero[i]);
  }
  EXPECT_EQ(after.seed, before.seed);
}

TEST(Energies, NoAtomIsNoTrouble) {
  const Energies energies(scale_of(EnergySemantics::MeanPerAtom, true));
  EdgeList none;
  none.begin = {0};
  Outputs outputs;
  std::vector<double> seed{1.0};
  energies.apply(none, 7.0, outputs, seed);
  EXPECT_TRUE(outputs.energy.empty());
  EXPECT_TRUE(seed.empty());
}

} // namespace
} // namespace eqnn::engine
