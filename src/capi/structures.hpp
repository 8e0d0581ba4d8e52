// SPDX-License-Identifier: BSD-3-Clause
// Converts C arrays to C++ structures.
#pragma once

#include "base/error.hpp"
#include "eqnn/batch.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <vector>

namespace eqnn::capi {

/// Many structures, in the form of the arguments of eqnn_evaluate_many().
struct StructureArrays {
  std::size_t n_structures;
  const int* n_atoms;
  const int* atomic_numbers;
  const double* positions;
  const double* cells;
  const int* is_periodic;
};

/// Throws Error for a negative number of atoms.
inline std::vector<Structure> structures_of(const StructureArrays& arrays) {
  std::vector<Structure> out(arrays.n_structures);
  const int* z = arrays.atomic_numbers;
  const double* x = arrays.positions;
  for (std::size_t k = 0; k < out.size(); ++k) {
    const int n = arrays.n_atoms[k];
    if (n < 0) {
      fail("n_atoms[", k, "] is ", n, ", expected 0 or more. Correct the call.");
    }
    out[k].numbers.assign(z, z + n);
    z += n;
    out[k].positions.resize(static_cast<std::size_t>(n));
    for (auto& position : out[k].positions) {
      std::copy(x, x + 3, position.begin());
      x += 3;
    }
    if (arrays.is_periodic != nullptr && arrays.is_periodic[k] != 0) {
      std::copy(arrays.cells + 9 * k, arrays.cells + 9 * k + 9, out[k].cell.emplace().begin());
    }
  }
  return out;
}

/// Copies n numbers and advances `to` past them. Writes NaN if a failure left no numbers. Does
/// nothing if `to` is null: the result is not wanted.
inline void put(const std::vector<double>& from, std::size_t n, double*& to) {
  if (to == nullptr) {
    return;
  }
  if (from.size() == n) {
    std::copy(from.begin(), from.end(), to);
  } else {
    std::fill_n(to, n, std::numeric_limits<double>::quiet_NaN());
  }
  to += n;
}

} // namespace eqnn::capi
