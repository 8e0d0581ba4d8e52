// SPDX-License-Identifier: BSD-3-Clause
#include "engine/fold_edges.hpp"

#include <cstddef>

namespace eqnn::engine {

void fold_edges(const EdgeList& edges,
                Centers centers,
                const std::vector<double>& edge_gradient,
                double* forces,
                double* virial,
                double* atom_virial) {
  for (std::int32_t i = centers.first; i < centers.end; ++i) {
    const std::int64_t end = edges.begin[static_cast<std::size_t>(i) + 1];
    for (std::int64_t e = edges.begin[static_cast<std::size_t>(i)]; e < end; ++e) {
      const double* const g = edge_gradient.data() + 3 * e;
      const double* const r = edges.vector.data() + 3 * e;
      const std::int64_t j = edges.source[static_cast<std::size_t>(e)];
      for (int a = 0; a < 3; ++a) {
        if (forces != nullptr) {
          forces[3 * std::int64_t{i} + a] += g[a];
          forces[3 * j + a] -= g[a];
        }
        for (int b = 0; b < 3; ++b) {
          const double part = -r[a] * g[b];
          if (virial != nullptr) {
            virial[3 * a + b] += part;
          }
          if (atom_virial != nullptr) {
            atom_virial[9 * std::int64_t{i} + 3 * a + b] += 0.5 * part;
            atom_virial[9 * j + 3 * a + b] += 0.5 * part;
          }
        }
      }
    }
  }
}

void fold_edges(const EdgeList& edges,
                const std::vector<double>& edge_gradient,
                double* forces,
                double* virial,
                double* atom_virial) {
  fold_edges(edges, {0, edges.n_centers}, edge_gradient, forces, virial, atom_virial);
}

} // namespace eqnn::engine
