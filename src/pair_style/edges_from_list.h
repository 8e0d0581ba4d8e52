// SPDX-License-Identifier: GPL-2.0-only
// Converts LAMMPS's full neighbor list to the edges of a model.

#ifndef LMP_EQNN_EDGES_FROM_LIST_H
#define LMP_EQNN_EDGES_FROM_LIST_H

#include "eqnn/edges.hpp"

#include <cstddef>
#include <vector>

namespace LAMMPS_NS {

class Atom;

// LAMMPS's full neighbor list on the host, whichever package made it.
struct NeighborRows {
  int n_rows;
  const int *atoms;           // [n_rows]
  const int *counts;          // [nlocal] neighbors of each atom
  const int *const *first;    // [nlocal] first neighbor of each atom
  std::size_t stride;         // from one neighbor to the next
};

// Nodes are the owned atoms that the model knows, then those ghosts whose features this rank needs:
// sources of edges, and those that it passes on to other ranks. Images of a rank's own atoms are
// not nodes: an edge to one points at the owner. So memory grows with edges, not with ghosts, and a
// single rank has nothing to exchange. Atoms of types mapped to NULL and excluded atoms are not
// nodes either. The buffers only grow.
class EdgesFromList {
 public:
  // Call it after each building of the list: atoms and ghosts keep their indices until the next.
  // excluded: [nlocal + nghost] 1 for atoms that count for nothing, or empty
  void find_owners(const Atom &atom, const std::vector<char> &excluded);

  // species_of_type: [ntypes + 1] row of the model's tables, -1 for NULL. cutoff in Angstrom.
  // Throws eqnn::Error for a position that is not finite, for atoms that coincide, and for an atom
  // that is missing in the list.
  void build(const NeighborRows &list, const Atom &atom, const std::vector<int> &species_of_type,
             double cutoff);
  // The nodes alone, without edges: those of the owned atoms and of all ghosts that are marked,
  // [nlocal + nghost]. Throws eqnn::Error for an atom that is missing in the list; rows: the list's
  // atoms [n_rows].
  void mark_nodes(const Atom &atom, const std::vector<int> &species_of_type,
                  const std::vector<char> &marked, const int *rows, int n_rows);
  // Gives nodes to ghosts that this rank passes on.
  void add_nodes(const Atom &atom, const std::vector<int> &ghosts,
                 const std::vector<int> &species_of_type);
  // Empties it: the state after build() threw.
  void clear();

  const eqnn::EdgeList &edges() const { return edges_; }
  // [n_nodes] local index of each node's atom
  const std::vector<int> &atom_of_node() const { return atom_of_node_; }
  // [nlocal + nghost] node of each atom, -1 for none; images of own atoms have none
  const std::vector<int> &node_of_atom() const { return node_of_atom_; }
  // [nlocal + nghost] the owned atom that a ghost is an image of, or -1; owned atoms: themselves
  const std::vector<int> &owner() const { return owner_; }

  double memory_usage() const;

 private:
  void add_node(int atom, int species);
  void add_centers(const Atom &atom, const std::vector<int> &species_of_type);
  // Throws eqnn::Error for an atom without valid edges.
  void require_finite(const Atom &atom, int i) const;
  void require_row(const Atom &atom, int i) const;
  bool counts(int atom) const { return excluded_.empty() || !excluded_[atom]; }

  eqnn::EdgeList edges_;
  std::vector<int> atom_of_node_, node_of_atom_;
  std::vector<int> owner_;
  std::vector<char> excluded_;
  std::vector<int> row_of_atom_;    // [nlocal] the atom's place in list.atoms, -1 for none
};

}    // namespace LAMMPS_NS

#endif
