// SPDX-License-Identifier: BSD-3-Clause
#include "engine/require_finite.hpp"

#include "base/error.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace eqnn::engine {
namespace {

/// Names are made only for what fails: a step allocates nothing.
template <class NodeOf> void require(const std::vector<double>& numbers,
                                     const char* what,
                                     const HaloExchange& halo,
                                     const NodeOf& node_of) {
  for (std::size_t k = 0; k < numbers.size(); ++k) {
    if (!std::isfinite(numbers[k])) {
      fail(what,
           halo.name_of(node_of(k)),
           " is ",
           numbers[k],
           ", expected a finite number.\nThe structure is far outside the training data, or the "
           "precision too low: try precision double.");
    }
  }
}

} // namespace

void require_finite(const EdgeList& edges, const Outputs& outputs, const HaloExchange& halo) {
  require(outputs.energy, "the energy of ", halo, [](std::size_t k) {
    return static_cast<std::int32_t>(k);
  });
  require(outputs.direct_forces, "the direct force on ", halo, [](std::size_t k) {
    return static_cast<std::int32_t>(k / 3);
  });
  require(outputs.edge_gradient, "the energy gradient of an edge to ", halo, [&](std::size_t k) {
    return edges.source[k / 3];
  });
}

} // namespace eqnn::engine
