// SPDX-License-Identifier: BSD-3-Clause
// A host neighbor list, brought to the device. The list itself is copied once each time it changes,
// positions and species at every step.
#pragma once

#include "base/error.hpp"
#include "eqnn/on_device.hpp"
#include "kernels/workspace.hpp"

#include <algorithm>
#include <vector>

namespace eqnn::kernels {

template <class S> class NeighborsBrought {
public:
  /// Valid until the next call. Throws Error for inconsistent indices.
  NeighborsOnDevice bring(const typename S::Exec& space, const NeighborsOnHost& list) {
    if (list.is_new || !has_list_) {
      has_list_ = false;
      require_nodes(list);
      lay_out(list);
      here_.n_centers = list.n_centers;
      here_.n_nodes = list.n_nodes;
      here_.atom_of_node =
          atom_of_node_.bring(space, "eqnn::list::atoms", list.atom_of_node, size(list.n_nodes))
              .data();
      here_.node_of_atom =
          node_of_atom_.bring(space, "eqnn::list::nodes", list.node_of_atom, size(list.n_atoms))
              .data();
      here_.counts = counts_.bring(space, "eqnn::list::counts", list.counts, size(n_rows_)).data();
      here_.neighbors = neighbors_.bring(space, "eqnn::list::neighbors", table_).data();
      here_.neighbor_strides = {1, n_rows_};
      here_.cutoff = list.cutoff;
      has_list_ = true;
    }
    here_.species =
        species_.bring(space, "eqnn::list::species", list.species, size(list.n_nodes)).data();
    here_.positions =
        positions_.bring(space, "eqnn::list::positions", list.positions, 3 * size(list.n_atoms))
            .data();
    return here_;
  }

  std::size_t bytes() const {
    return table_.capacity() * sizeof(std::int32_t) + species_.bytes() + atom_of_node_.bytes() +
           node_of_atom_.bytes() + counts_.bytes() + neighbors_.bytes() + positions_.bytes();
  }

private:
  static std::size_t size(std::int32_t n) { return static_cast<std::size_t>(n); }

  static void require_below(const char* what, std::int32_t at, std::int32_t found, std::int32_t n) {
    if (found < 0 || found >= n) {
      fail(what, " ", at, " is ", found, ", expected 0 to ", n - 1, ".\nCheck the neighbor list.");
    }
  }

  static void require_nodes(const NeighborsOnHost& list) {
    if (list.n_centers < 0 || list.n_nodes < list.n_centers || list.n_atoms < list.n_nodes) {
      fail("the list has ",
           list.n_centers,
           " centers, ",
           list.n_nodes,
           " nodes and ",
           list.n_atoms,
           " atoms, expected centers <= nodes <= atoms.\nCheck the neighbor list.");
    }
    for (std::int32_t k = 0; k < list.n_nodes; ++k) {
      require_below("the atom of node", k, list.atom_of_node[k], list.n_atoms);
    }
    for (std::int32_t i = 0; i < list.n_atoms; ++i) {
      if (list.node_of_atom[i] != -1) {
        require_below("the node of atom", i, list.node_of_atom[i], list.n_nodes);
      }
    }
  }

  /// Stores the table neighbor by neighbor, so that adjacent threads read adjacent entries.
  void lay_out(const NeighborsOnHost& list) {
    n_rows_ = 0;
    std::int32_t most = 0;
    for (std::int32_t k = 0; k < list.n_centers; ++k) {
      const std::int32_t i = list.atom_of_node[k];
      n_rows_ = std::max(n_rows_, i + 1);
      most = std::max(most, list.counts[i]);
    }
    table_.resize(size(n_rows_) * size(most));
    for (std::int32_t k = 0; k < list.n_centers; ++k) {
      const std::int32_t i = list.atom_of_node[k];
      for (std::int32_t n = 0; n < list.counts[i]; ++n) {
        const std::int32_t j = list.first[i][size(n) * list.stride] & list.neighbor_mask;
        require_below("a neighbor of atom", i, j, list.n_atoms);
        table_[size(n) * size(n_rows_) + size(i)] = j;
      }
    }
  }

  NeighborsOnDevice here_;
  bool has_list_ = false;
  std::int32_t n_rows_ = 0; ///< index of the last atom that is a center, plus 1
  std::vector<std::int32_t> table_;
  Mirror<S, std::int32_t> species_, atom_of_node_, node_of_atom_, counts_, neighbors_;
  Mirror<S, double> positions_;
};

} // namespace eqnn::kernels
