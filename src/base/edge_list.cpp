// SPDX-License-Identifier: BSD-3-Clause
#include "base/edge_list.hpp"

#include "base/error.hpp"

#include <cmath>

namespace eqnn {

void require_sound_edges(const EdgeList& edges) {
  for (std::int32_t i = 0; i < edges.n_centers; ++i) {
    for (std::int64_t e = edges.begin[static_cast<std::size_t>(i)];
         e < edges.begin[static_cast<std::size_t>(i) + 1];
         ++e) {
      const double* const x = edges.vector.data() + 3 * e;
      const double r = std::sqrt(x[0] * x[0] + x[1] * x[1] + x[2] * x[2]);
      if (!(r >= kShortestEdge) || !std::isfinite(r)) {
        fail("node ",
             edges.source[static_cast<std::size_t>(e)],
             " is ",
             r,
             " Angstrom from atom ",
             i,
             ", expected at least ",
             kShortestEdge,
             ".\nTwo atoms coincide or a coordinate is not finite: check the structure, the box "
             "and the time step.");
      }
    }
  }
}

} // namespace eqnn
