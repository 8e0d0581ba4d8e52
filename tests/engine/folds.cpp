// SPDX-License-Identifier: BSD-3-Clause
// Forces and virials against sums over edges that are written another way.
#include "engine/fold_edges.hpp"
#include "engine/observe.hpp"
#include "support/compare.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>

namespace eqnn::engine {
namespace {

struct Case {
  EdgeList edges;
  std::vector<double> gradient;
};

/// Some nodes are ghosts; an atom can be its own neighbor, as in a small cell.
Case random_case(std::int32_t n_centers, std::int32_t n_ghosts, int n_edges_of_one) {
  std::mt19937 random(7);
  std::normal_distribution<double> normal;
  Case out;
  out.edges.n_centers = n_centers;
  out.edges.n_nodes = n_centers + n_ghosts;
  out.edges.species.assign(static_cast<std::size_t>(out.edges.n_nodes), 0);
  out.edges.begin = {0};
  for (std::int32_t i = 0; i < n_centers; ++i) {
    for (int k = 0; k < n_edges_of_one * (i % 3); ++k) { // each third atom has none
      out.edges.source.push_back(
          std::uniform_int_distribution<std::int32_t>(0, out.edges.n_nodes - 1)(random));
      for (int a = 0; a < 3; ++a) {
        out.edges.vector.push_back(normal(random));
        out.gradient.push_back(normal(random));
      }
    }
    out.edges.begin.push_back(out.edges.n_edges());
  }
  return out;
}

std::int32_t center_of(const EdgeList& edges, std::size_t e) {
  std::int32_t i = 0;
  while (edges.begin[static_cast<std::size_t>(i) + 1] <= static_cast<std::int64_t>(e)) {
    ++i;
  }
  return i;
}

/// Sizes: nothing, one atom, awkward.
const std::vector<Case> kCases{random_case(0, 0, 1),
                               random_case(1, 0, 1),
                               random_case(2, 0, 1),
                               random_case(7, 0, 5),
                               random_case(11, 6, 9)};

TEST(Folds, ForcesAndVirialsArePlainSumsOverEdges) {
  for (const Case& c : kCases) {
    const auto n_nodes = static_cast<std::size_t>(c.edges.n_nodes);
    std::vector<double> forces(3 * n_nodes, 0.0);
    std::vector<double> virial(9, 0.0);
    std::vector<double> atom_virial(9 * n_nodes, 0.0);
    for (std::size_t a = 0; a < 3; ++a) {
      for (std::size_t node = 0; node < n_nodes; ++node) { // for each atom: all edges that touch it
        for (std::size_t e = 0; e < c.edges.source.size(); ++e) {
          const double of_center =
              center_of(c.edges, e) == static_cast<std::int32_t>(node) ? 1.0 : 0.0;
          const double of_source = c.edges.source[e] == static_cast<std::int32_t>(node) ? 1.0 : 0.0;
          forces[3 * node + a] += (of_center - of_source) * c.gradient[3 * e + a];
          for (std::size_t b = 0; b < 3; ++b) {
            const double part = -c.edges.vector[3 * e + a] * c.gradient[3 * e + b];
            atom_virial[9 * node + 3 * a + b] += 0.5 * (of_center + of_source) * part;
            virial[3 * a + b] += node == 0 ? part : 0.0;
          }
        }
      }
    }
    std::vector<double> found_forces(3 * n_nodes, 0.0);
    std::vector<double> found_virial(9, 0.0);
    std::vector<double> found_atom_virial(9 * n_nodes, 0.0);
    fold_edges(
        c.edges, c.gradient, found_forces.data(), found_virial.data(), found_atom_virial.data());
    EXPECT_LE(test::max_error(found_forces, forces), 1e-13);
    EXPECT_LE(test::max_error(found_virial, virial), 1e-12);
    EXPECT_LE(test::max_error(found_atom_virial, atom_virial), 1e-13);
  }
}

TEST(Folds, VirialsOfAtomsSumUpToTheVirial) {
  for (const Case& c : kCases) {
    Observables found;
    Outputs outputs;
    outputs.edge_gradient = c.gradient;
    observe(c.edges, outputs, ForceKind::Gradient, {true, true, true}, found);
    std::array<double, 9> sum{};
    for (std::size_t k = 0; k < found.atom_virial.size(); ++k) {
      sum.at(k % 9) += found.atom_virial[k];
    }
    EXPECT_LE(test::max_error(sum, found.virial), 1e-12);
  }
}

/// dE/d(strain) of E = sum over edges of g . r: the sign of the virial is that of -dE/d(strain).
TEST(Folds, TheVirialIsMinusTheDerivativeByAStrain) {
  const Case c = random_case(5, 0, 4);
  Outputs outputs;
  outputs.edge_gradient = c.gradient;
  Observables found;
  observe(c.edges, outputs, ForceKind::Gradient, {false, true, false}, found);
  for (std::size_t a = 0; a < 3; ++a) {
    for (std::size_t b = 0; b < 3; ++b) {
      double slope = 0.0; // x_b -> x_b + h x_a
      for (std::size_t e = 0; e < c.edges.source.size(); ++e) {
        slope += c.gradient[3 * e + b] * c.edges.vector[3 * e + a];
      }
      EXPECT_LE(std::abs(found.virial.at(3 * a + b) + slope), 1e-12);
    }
  }
}

TEST(Observe, WhatIsNotWantedIsEmptyOrZeroAndLeavesNoTrace) {
  const Case c = random_case(7, 3, 5);
  Outputs outputs;
  outputs.energy = {1, 2, 3, 4, 5, 6, 7};
  outputs.edge_gradient = c.gradient;
  Observables found;
  observe(c.edges, outputs, ForceKind::Gradient, {true, true, true}, found);
  EXPECT_EQ(found.energy, 28.0);
  EXPECT_EQ(found.atom_energy, outputs.energy);
  const Observables all = found;
  observe(c.edges, outputs, ForceKind::Gradient, {false, false, false}, found);
  EXPECT_EQ(found.energy, 28.0);
  EXPECT_TRUE(found.forces.empty());
  EXPECT_TRUE(found.atom_virial.empty());
  EXPECT_EQ(found.virial, (std::array<double, 9>{}));
  observe(c.edges, outputs, ForceKind::Gradient, {true, true, true}, found);
  EXPECT_EQ(found.forces, all.forces);
  EXPECT_EQ(found.virial, all.virial);
  EXPECT_EQ(found.atom_virial, all.atom_virial);
}

TEST(Observe, DirectForcesHaveNoVirialAndItIsNoNumber) {
  const Case c = random_case(2, 1, 1);
  Outputs outputs;
  outputs.energy = {1, 2};
  outputs.direct_forces = {1, 2, 3, 4, 5, 6};
  Observables found;
  observe(c.edges, outputs, ForceKind::Direct, {true, true, true}, found);
  EXPECT_EQ(found.forces, (std::vector<double>{1, 2, 3, 4, 5, 6, 0, 0, 0})); // none on a ghost
  ASSERT_EQ(found.atom_virial.size(), 27U);
  for (const double v : found.virial) {
    EXPECT_TRUE(std::isnan(v));
  }
  for (const double v : found.atom_virial) {
    EXPECT_TRUE(std::isnan(v));
  }
  observe(c.edges, outputs, ForceKind::Direct, {true, false, false}, found);
  EXPECT_EQ(found.virial, (std::array<double, 9>{}));
}

TEST(Observe, TakesNoMemoryAfterReserve) {
  const Case c = random_case(11, 6, 9);
  Outputs outputs;
  outputs.energy.assign(11, 1.0);
  outputs.edge_gradient = c.gradient;
  Observables found;
  reserve(c.edges.n_centers, c.edges.n_nodes, {true, true, true}, found);
  const double* const energy = found.atom_energy.data();
  const double* const forces = found.forces.data();
  const double* const atom_virial = found.atom_virial.data();
  observe(c.edges, outputs, ForceKind::Gradient, {true, true, true}, found);
  EXPECT_EQ(found.atom_energy.data(), energy);
  EXPECT_EQ(found.forces.data(), forces);
  EXPECT_EQ(found.atom_virial.data(), atom_virial);
}

} // namespace
} // namespace eqnn::engine
