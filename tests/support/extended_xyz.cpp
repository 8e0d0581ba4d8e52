// SPDX-License-Identifier: BSD-3-Clause
// Structures that the benchmarks read.
#include "support/extended_xyz.hpp"

#include <gtest/gtest.h>

#include <utility>

namespace eqnn::test {
namespace {

const std::string kProperties = "Properties=species:S:1:pos:R:3";
const std::string kLattice = R"(Lattice="3 0 0 0.5 4 0 -0.25 1e-1 5" )";
const std::string kGood =
    "2\n" + kLattice + kProperties + " pbc=\"T T T\"\nAl 0 0.5 1.25\nN  -1 2 3e-2\n";

TEST(ExtendedXyz, GivesWhatAseWrote) {
  const Structure s = parse_extended_xyz(kGood, "s");
  EXPECT_EQ(s.numbers, (std::vector<std::int32_t>{13, 7}));
  EXPECT_EQ(s.positions, (std::vector<std::array<double, 3>>{{0, 0.5, 1.25}, {-1, 2, 0.03}}));
  EXPECT_EQ(s.cell, (std::array<double, 9>{3, 0, 0, 0.5, 4, 0, -0.25, 0.1, 5}));
}

TEST(ExtendedXyz, WithMoreColumnsIsRead) {
  const std::string text = "1\n" + kLattice + kProperties + ":forces:R:3\nAl 1 2 3 0 0 0\n";
  EXPECT_EQ(parse_extended_xyz(text, "s").positions.at(0), (std::array<double, 3>{1, 2, 3}));
}

std::string with(std::string text, const std::string& old, const std::string& replacement) {
  return text.replace(text.find(old), old.size(), replacement);
}

TEST(ExtendedXyz, IsRefusedWithTheCure) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "s: line 1 is '', expected the number of atoms"},
      {with(kGood, "2", "0"), "line 1 is '0', expected the number of atoms"},
      {with(kGood, "2", "2 3"), "line 1 is '2 3', expected the number of atoms"},
      {with(kGood, "Lattice", "lattice"), "line 2 lacks Lattice"},
      {with(kGood, "pos:R:3", "pos:R:2"), "line 2 lacks Lattice"},
      {with(kGood, "T T T", "T T F"), "give one structure, periodic in all directions"},
      {with(kGood, " 5\"", "\""), "Lattice is not 9 numbers"},
      {with(kGood, " 5\"", " 5 6\""), "Lattice is not 9 numbers"},
      {with(kGood, "Al", "Xx"), "'Xx 0 0.5 1.25' is no atom: give a symbol"},
      {with(kGood, " 1.25", ""), "'Al 0 0.5' is no atom"},
      {with(kGood, "2", "3"), "s: 2 atoms, line 1 says 3: give one whole structure"},
      {kGood + kGood, "'2' is no atom"},
  };
  for (const auto& [text, expected] : cases) {
    try {
      (void)parse_extended_xyz(text, "s");
      ADD_FAILURE() << "accepted: " << text;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(expected), std::string::npos) << error.what();
    }
  }
}

} // namespace
} // namespace eqnn::test
