// SPDX-License-Identifier: BSD-3-Clause
#include "engine/require_finite.hpp"

#include "base/error.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace eqnn::engine {
namespace {

/// Checks first .. end-1. Builds a name only after a failure, so that a normal step does not
/// allocate.
template <class NameOf> void require(const std::vector<double>& numbers,
                                     std::size_t first,
                                     std::size_t end,
                                     const char* what,
                                     const NameOf& name_of) {
  for (std::size_t k = first; k < end; ++k) {
    if (!std::isfinite(numbers[k])) {
      fail(what,
           name_of(k),
           " is ",
           numbers[k],
           ", expected a finite number.\nThe structure is far outside the training data, or the "
           "precision is too low: try precision double.");
    }
  }
}

/// The range to check: centers and edges, first .. end-1.
struct Part {
  std::size_t first_center, end_center, first_edge, end_edge;
};

/// name_of(node): the name of a node's atom
template <class NameOf> void
require(const EdgeList& edges, const Outputs& outputs, const Part& part, const NameOf& name_of) {
  const auto [first, end, first_edge, end_edge] = part;
  const auto of_center = [&](std::size_t k) { return name_of(static_cast<std::int32_t>(k)); };
  require(outputs.energy, first, end, "the energy of ", of_center);
  if (!outputs.direct_forces.empty()) {
    require(outputs.direct_forces, 3 * first, 3 * end, "the direct force on ", [&](std::size_t k) {
      return of_center(k / 3);
    });
  }
  if (!outputs.edge_gradient.empty()) {
    require(outputs.edge_gradient,
            3 * first_edge,
            3 * end_edge,
            "the energy gradient of an edge to ",
            [&](std::size_t k) { return name_of(edges.source[k / 3]); });
  }
}

} // namespace

void require_finite(const EdgeList& edges, const Outputs& outputs, const HaloExchange& halo) {
  // If the edges were made on a device, the host has only their sources.
  require(edges,
          outputs,
          {0, outputs.energy.size(), 0, outputs.edge_gradient.size() / 3},
          [&](std::int32_t node) { return halo.name_of(node); });
}

std::string not_finite_in(const EdgeList& edges, const Outputs& outputs, Centers centers) {
  const auto first = static_cast<std::size_t>(centers.first);
  const auto end = static_cast<std::size_t>(centers.end);
  const auto begin_of = [&](std::size_t i) { return static_cast<std::size_t>(edges.begin[i]); };
  if (first == end) { // begin may be empty
    return "";
  }
  try {
    require(edges, outputs, {first, end, begin_of(first), begin_of(end)}, [&](std::int32_t node) {
      return "atom " + std::to_string(node - centers.first);
    });
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

} // namespace eqnn::engine
