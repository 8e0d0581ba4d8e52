// SPDX-License-Identifier: BSD-3-Clause
// Comparisons that fail on NaN. Use as EXPECT_LE(max_error(found, expected), tolerance).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

namespace eqnn::test {

/// The larger of two errors; a NaN is larger than everything and stays.
inline double worse(double a, double b) {
  return (std::isnan(a) || (!std::isnan(b) && a > b)) ? a : b;
}

/// Largest |found - expected|; NaN if there is one; throws for different sizes.
template <class A, class B> double max_error(const A& found, const B& expected) {
  if (found.size() != expected.size()) {
    throw std::invalid_argument("max_error: " + std::to_string(found.size()) + " and " +
                                std::to_string(expected.size()) + " values");
  }
  double error = 0.0;
  for (std::size_t k = 0; k < found.size(); ++k) {
    error =
        worse(std::abs(static_cast<double>(found[k]) - static_cast<double>(expected[k])), error);
  }
  return error;
}

/// Largest |value|, NaN kept.
template <class A> double max_size(const A& values) {
  return max_error(values, std::vector<double>(values.size(), 0.0));
}

/// max_error over the largest expected value.
template <class A, class B> double relative_error(const A& found, const B& expected) {
  return max_error(found, expected) / std::max(max_size(expected), 1e-300);
}

} // namespace eqnn::test
