// SPDX-License-Identifier: BSD-3-Clause
// The output of a stage of the graph.
#pragma once

#include <cstdint>
#include <vector>

namespace eqnn::reference {

/// [rows, components, channels], row-major. Rows are nodes or edges.
struct Value {
  std::int64_t rows = 0;
  std::int32_t components = 0;
  std::int32_t channels = 0;
  std::vector<double> data;

  Value() = default;

  Value(std::int64_t n_rows, std::int32_t n_components, std::int32_t n_channels)
      : rows(n_rows)
      , components(n_components)
      , channels(n_channels)
      , data(static_cast<std::size_t>(n_rows * n_components * n_channels), 0.0) {}

  double& at(std::int64_t row, std::int32_t component, std::int32_t channel) {
    return data[static_cast<std::size_t>((row * components + component) * channels + channel)];
  }

  double at(std::int64_t row, std::int32_t component, std::int32_t channel) const {
    return data[static_cast<std::size_t>((row * components + component) * channels + channel)];
  }
};

} // namespace eqnn::reference
