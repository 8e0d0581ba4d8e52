// SPDX-License-Identifier: BSD-3-Clause
// Edges of small structures: what they are does not depend on how the structure is written.
#include "eqnn/neighbors.hpp"

#include "base/error.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <utility>

namespace eqnn {
namespace {

using Position = std::array<double, 3>;

const std::vector<std::int32_t> kNumbers{12, 8, 12, 8};
/// Coordinates and cell in 64ths, so that displacements by whole cells are exact.
const std::array<double, 9> kCell{4.25, 0, 0, 0.75, 3.5, 0, -1.25, 0.5, 4.0};
const std::vector<Position> kPositions{
    {0.25, 0.125, 0.5}, {2.0, 0.046875, 0.25}, {1.0, 2.25, 2.5}, {0.0, 1.75, 3.0}};
constexpr double kCutoff = 5.1;

EdgeList edges(const std::vector<Position>& positions,
               const std::optional<std::array<double, 9>>& cell = kCell,
               double cutoff = kCutoff) {
  return edges_of({kNumbers.begin(), kNumbers.begin() + static_cast<long>(positions.size())},
                  positions,
                  cell,
                  {8, 12},
                  cutoff);
}

/// Source and vector of each center's edges, in an order that does not depend on the search.
std::vector<std::vector<std::pair<std::int32_t, Position>>> sorted(const EdgeList& list) {
  std::vector<std::vector<std::pair<std::int32_t, Position>>> out;
  for (std::size_t i = 0; i + 1 < list.begin.size(); ++i) {
    auto& of_center = out.emplace_back();
    for (auto e = static_cast<std::size_t>(list.begin[i]);
         e < static_cast<std::size_t>(list.begin[i + 1]);
         ++e) {
      of_center.push_back(
          {list.source[e], {list.vector[3 * e], list.vector[3 * e + 1], list.vector[3 * e + 2]}});
    }
    std::sort(of_center.begin(), of_center.end());
  }
  return out;
}

/// All pairs of atoms and images, one by one: what the search in bins must find, in this order.
EdgeList all_pairs(const std::vector<Position>& x, double side, int n_images, double cutoff) {
  EdgeList list;
  list.begin.push_back(0);
  for (std::size_t i = 0; i < x.size(); ++i) {
    for (std::size_t j = 0; j < x.size(); ++j) {
      for (int s = 0; s < n_images * n_images * n_images; ++s) {
        const std::array<int, 3> of{
            s / (n_images * n_images), s / n_images % n_images, s % n_images};
        Position r{};
        double square = 0.0, shift = 0.0;
        for (std::size_t a = 0; a < 3; ++a) {
          const double along = side * (of[a] - n_images / 2);
          shift += std::abs(along);
          r[a] = (x[j][a] + along) - x[i][a];
          square += r[a] * r[a];
        }
        if (square < cutoff * cutoff && (i != j || shift != 0.0)) {
          list.source.push_back(static_cast<std::int32_t>(j));
          list.vector.insert(list.vector.end(), r.begin(), r.end());
        }
      }
    }
    list.begin.push_back(static_cast<std::int64_t>(list.source.size()));
  }
  return list;
}

TEST(Neighbors, TheSearchInBinsFindsAllPairsInTheirOrder) {
  std::mt19937 random(3);
  for (const int n : {0, 1, 2, 7, 120}) {
    for (const double side : {2.0, 9.0, 31.0}) {
      std::vector<Position> x;
      std::uniform_real_distribution<> coordinate(0.0, side);
      for (int k = 0; k < n; ++k) {
        x.push_back({coordinate(random), coordinate(random), coordinate(random)});
      }
      if (n > 1) {
        x[1] = {
            x[0][0], x[0][1], std::nextafter(x[0][2] + 3.0, 0.0)}; // at the cutoff, but for a digit
      }
      const std::vector<std::int32_t> numbers(static_cast<std::size_t>(n), 8);
      const std::array<double, 9> cell{side, 0, 0, 0, side, 0, 0, 0, side};
      const int n_images = side < 3.0 ? 7 : 5;
      for (const bool periodic : {true, false}) {
        if (periodic && n > 1 && x[1][2] >= side) {
          x[1][2] -= side;
        }
        const EdgeList found =
            edges_of(numbers, x, periodic ? std::optional(cell) : std::nullopt, {8}, 3.0);
        const EdgeList expected = all_pairs(x, side, periodic ? n_images : 1, 3.0);
        EXPECT_EQ(found.begin, expected.begin) << n << " atoms, side " << side;
        EXPECT_EQ(found.source, expected.source) << n << " atoms, side " << side;
        EXPECT_EQ(found.vector, expected.vector) << n << " atoms, side " << side;
      }
    }
  }
}

TEST(Neighbors, AtomsFarApartTakeNoMemoryForTheSpaceBetween) {
  const std::vector<Position> x{{0, 0, 0}, {1, 0, 0}, {9e7, -9e7, 9e7}, {9e7, -9e7, 9e7 + 1.0}};
  const EdgeList found = edges_of({8, 8, 8, 8}, x, std::nullopt, {8}, 3.0);
  EXPECT_EQ(found.source, (std::vector<std::int32_t>{1, 0, 3, 2}));
}

TEST(Neighbors, ACutoffThatIsNoneIsRefused) {
  for (const double cutoff : {0.0, -5.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    for (const bool periodic : {true, false}) {
      try {
        (void)edges(kPositions, periodic ? std::optional(kCell) : std::nullopt, cutoff);
        ADD_FAILURE() << cutoff << " was taken";
      } catch (const Error& error) {
        const std::string text = error.what();
        EXPECT_EQ(text.find("the cutoff is "), 0U) << text;
        EXPECT_NE(text.find("expected a finite number above 0.\nUse the model's cutoff."),
                  std::string::npos)
            << text;
      }
    }
  }
}

/// Every atom moved by up to `size` cells along each lattice vector.
std::vector<Position> displaced(double size, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<Position> out = kPositions;
  for (Position& x : out) {
    for (std::size_t a = 0; a < 3; ++a) {
      const double n = std::round(std::uniform_real_distribution<>(-size, size)(random));
      for (std::size_t d = 0; d < 3; ++d) {
        x[d] += n * kCell[3 * a + d];
      }
    }
  }
  return out;
}

std::string refusal(const std::vector<Position>& positions,
                    const std::optional<std::array<double, 9>>& cell = std::nullopt) {
  try {
    edges(positions, cell);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Structure, EdgesAreThoseOfBruteForce) {
  std::vector<std::vector<std::pair<std::int32_t, Position>>> expected(kPositions.size());
  for (std::size_t i = 0; i < kPositions.size(); ++i) {
    for (std::size_t j = 0; j < kPositions.size(); ++j) {
      for (int n = 0; n < 9 * 9 * 9; ++n) {
        const std::array<int, 3> cells{n / 81 - 4, n / 9 % 9 - 4, n % 9 - 4};
        Position r{};
        double square = 0.0;
        for (std::size_t d = 0; d < 3; ++d) {
          r[d] = kPositions[j][d] - kPositions[i][d];
          for (std::size_t a = 0; a < 3; ++a) {
            r[d] += cells[a] * kCell[3 * a + d];
          }
          square += r[d] * r[d];
        }
        if (square > 0.0 && square < kCutoff * kCutoff) {
          expected[i].push_back({static_cast<std::int32_t>(j), r});
        }
      }
    }
    std::sort(expected[i].begin(), expected[i].end());
  }
  EXPECT_EQ(sorted(edges(kPositions)), expected);
  EXPECT_GT(expected[0].size(), 20U);
}

TEST(Structure, AtomsThatWereNeverWrappedHaveTheSameEdgesToTheLastBit) {
  const auto expected = sorted(edges(kPositions));
  for (const double size : {1.0, 10.0, 1e3, 1e6}) {
    for (unsigned seed = 0; seed < 5; ++seed) {
      EXPECT_EQ(sorted(edges(displaced(size, seed))), expected) << size << " cells";
    }
  }
}

TEST(Structure, ACellMayBeLeftHanded) {
  const std::array<double, 9> swapped{
      kCell[3], kCell[4], kCell[5], kCell[0], kCell[1], kCell[2], kCell[6], kCell[7], kCell[8]};
  EXPECT_EQ(sorted(edges(displaced(1e3, 1), swapped)), sorted(edges(kPositions)));
}

TEST(Structure, AnAtomAloneSeesItsOwnImages) {
  const std::array<double, 9> cube{2, 0, 0, 0, 2, 0, 0, 0, 2};
  EXPECT_EQ(edges({{0.5, 0.5, 0.5}}, cube, 2.5).n_edges(), 6);
  EXPECT_EQ(edges({{2e6 + 0.5, 0.5, -4e6}}, cube, 2.5).n_edges(), 6);
  EXPECT_EQ(edges({{0.5, 0.5, 0.5}}, std::nullopt).n_edges(), 0);
}

TEST(Structure, NoAtomsHaveNoEdges) {
  EXPECT_EQ(edges({}).begin, std::vector<std::int64_t>{0});
  EXPECT_EQ(edges({}, std::nullopt).n_edges(), 0);
}

TEST(Structure, CoordinatesThatAreNoNumbersAreRefusedForAnAtomAloneToo) {
  const double infinity = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double bad : {nan, infinity, -infinity}) {
    for (std::size_t d = 0; d < 3; ++d) {
      for (const auto& cell : {std::optional<std::array<double, 9>>(), std::optional(kCell)}) {
        Position lost{1.0, 1.0, 1.0};
        lost[d] = bad;
        EXPECT_NE(refusal({lost}, cell).find("atom 0 is at ("), std::string::npos);
        EXPECT_NE(refusal({{0, 0, 0}, lost}, cell).find("atom 1 is at ("), std::string::npos);
        EXPECT_NE(
            refusal({lost}, cell).find("expected finite coordinates.\nCorrect the structure."),
            std::string::npos);
      }
    }
    for (std::size_t k = 0; k < 9; ++k) {
      std::array<double, 9> cell = kCell;
      cell[k] = bad;
      for (const auto& positions : {std::vector<Position>{}, std::vector<Position>{{0, 0, 0}}}) {
        const std::string text = refusal(positions, cell);
        EXPECT_NE(text.find("a lattice vector has a component of "), std::string::npos) << text;
        EXPECT_NE(text.find("expected at most 1e+08 Angstrom.\nCorrect the cell."), text.npos);
      }
    }
  }
}

TEST(Structure, WhereDoublesAreTooCoarseThereIsNoAnswer) {
  for (const auto& cell : {std::optional<std::array<double, 9>>(), std::optional(kCell)}) {
    EXPECT_EQ(refusal({{1e8, 0, 0}, {1e8 - 2, 0, 0}}, cell), "");
    const std::string text = refusal({{0, 0, 0}, {0, -1.1e8, 0}}, cell);
    EXPECT_NE(
        text.find(
            "atom 1 is at (0, -1.1e+08, 0), expected within 1e+08 Angstrom of the "
            "origin: farther away, double precision is too coarse.\nMove the structure to the "
            "origin, or wrap it into its cell."),
        std::string::npos)
        << text;
  }
}

TEST(Structure, WhatTheModelDoesNotKnowIsNamed) {
  const auto said = [](const std::vector<std::int32_t>& numbers, std::size_t n_positions) {
    try {
      (void)edges_of(numbers, std::vector<Position>(n_positions), std::nullopt, {1, 8}, kCutoff);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(said({1, 79}, 2),
            "atom 1 is Au, which the model does not know, expected one of H, O.\nUse a model that "
            "knows all elements of the structure.");
  EXPECT_EQ(said({1, 119}, 2),
            "atomic number 119, expected 1 (H) to 118 (Og). Correct the structure.");
  EXPECT_EQ(said({1}, 2),
            "1 atomic numbers for 2 positions, expected one for each. Correct the structure.");
}

TEST(Structure, CellsThatAreFlatOrTooSkewedAreRefused) {
  const std::string flat = refusal({{0, 0, 0}}, std::array<double, 9>{1, 0, 0, 2, 0, 0, 0, 0, 1});
  EXPECT_EQ(flat,
            "the cell's volume is 0 A^3, expected above 1e-06.\nGive three lattice vectors that "
            "are not in one plane, or no cell if nothing is periodic.");
  const std::string skewed =
      refusal({{0, 0, 0}}, std::array<double, 9>{2, 0, 0, 4e5, 2, 0, 0, 0, 2});
  EXPECT_NE(skewed.find("images within the cutoff of 5.1 Angstrom, expected at most 1e+06.\nGive a "
                        "less flat or less skewed cell of the same lattice."),
            std::string::npos)
      << skewed;
}

} // namespace
} // namespace eqnn
