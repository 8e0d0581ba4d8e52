// SPDX-License-Identifier: BSD-3-Clause
// Small helpers shared by stages.
#pragma once

#include "base/edge_list.hpp"
#include "model/model_spec.hpp"

#include <array>
#include <cmath>

namespace eqnn::reference {

inline std::size_t at(std::int64_t k) { return static_cast<std::size_t>(k); }

inline std::array<double, 3> edge_vector(const EdgeList& edges, std::int64_t e) {
  const auto k = static_cast<std::size_t>(3 * e);
  return {edges.vector[k], edges.vector[k + 1], edges.vector[k + 2]};
}

inline double length(const std::array<double, 3>& r) {
  return std::sqrt(r[0] * r[0] + r[1] * r[1] + r[2] * r[2]);
}

inline const IrrepsBlock& block(const Irreps& irreps, std::int32_t b) { return irreps[at(b)]; }

inline std::int32_t species_of(const EdgeList& edges, std::int64_t node) {
  return edges.species[at(node)];
}

/// Calls use(center, edge) for every edge.
template <class Use> void for_edges(const EdgeList& edges, const Use& use) {
  for (std::int32_t i = 0; i < edges.n_centers; ++i) {
    for (std::int64_t e = edges.begin[at(i)]; e < edges.begin[at(i) + 1]; ++e) {
      use(i, e);
    }
  }
}

inline double weight_at(const Tensor& weight, std::int64_t out, std::int64_t in) {
  return weight.values[static_cast<std::size_t>(out * weight.shape[1] + in)];
}

inline double bias_at(const Tensor& bias, std::int64_t c) {
  return bias.values[static_cast<std::size_t>(c)];
}

} // namespace eqnn::reference
