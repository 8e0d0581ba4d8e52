// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace eqnn::plan {

/// [n_rows, n_columns] -> [n_columns, n_rows], row-major.
inline std::vector<double>
transposed(const std::vector<double>& matrix, std::int64_t n_rows, std::int64_t n_columns) {
  std::vector<double> out(matrix.size());
  for (std::int64_t r = 0; r < n_rows; ++r) {
    for (std::int64_t c = 0; c < n_columns; ++c) {
      out[static_cast<std::size_t>(c * n_rows + r)] =
          matrix[static_cast<std::size_t>(r * n_columns + c)];
    }
  }
  return out;
}

} // namespace eqnn::plan
