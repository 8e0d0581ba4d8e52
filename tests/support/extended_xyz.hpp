// SPDX-License-Identifier: BSD-3-Clause
// The extended XYZ of one periodic structure, as ASE writes it: so that a benchmark and a peer's
// code get the same one.
#pragma once

#include "base/elements.hpp"
#include "base/error.hpp"
#include "support/random_model.hpp"

#include <sstream>
#include <string>

namespace eqnn::test {

/// Symbols and positions (Angstrom) are the first four columns; others are not read. `name` is said
/// in errors. Throws Error for anything but one frame, periodic in all directions.
inline Structure parse_extended_xyz(const std::string& text, const std::string& name) {
  std::istringstream lines(text);
  std::string line, comment;
  std::getline(lines, line);
  std::size_t n = 0;
  if (std::istringstream count(line); !(count >> n) || n == 0 || !(count >> std::ws).eof()) {
    fail(name, ": line 1 is '", line, "', expected the number of atoms: give extended XYZ");
  }
  std::getline(lines, comment);
  const auto says = [&](const char* words) { return comment.find(words) != std::string::npos; };
  const std::string key = "Lattice=\"";
  const std::size_t lattice = comment.find(key);
  if (!says("Properties=species:S:1:pos:R:3") || lattice == std::string::npos ||
      (says("pbc=") && !says("pbc=\"T T T\""))) {
    fail(name,
         ": line 2 lacks Lattice=\"...\", Properties=species:S:1:pos:R:3 or pbc=\"T T T\": "
         "give one structure, periodic in all directions, as ASE writes it");
  }
  Structure s;
  s.cell.emplace();
  std::istringstream numbers(comment.substr(lattice + key.size()));
  for (double& x : *s.cell) {
    numbers >> x;
  }
  if (!numbers || numbers.get() != '"') {
    fail(name, ": Lattice is not 9 numbers in quotes: give the cell's vectors, in Angstrom");
  }
  while (std::getline(lines, line)) {
    std::istringstream row(line);
    std::string symbol;
    std::array<double, 3> x{};
    row >> symbol >> x[0] >> x[1] >> x[2];
    const int z = atomic_number(symbol);
    if (!row || z == 0) {
      fail(name, ": '", line, "' is no atom: give a symbol and x y z in Angstrom");
    }
    s.numbers.push_back(z);
    s.positions.push_back(x);
  }
  if (s.numbers.size() != n) {
    fail(name, ": ", s.numbers.size(), " atoms, line 1 says ", n, ": give one whole structure");
  }
  return s;
}

} // namespace eqnn::test
