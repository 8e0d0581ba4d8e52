// SPDX-License-Identifier: GPL-2.0-only
// Converts LAMMPS's full neighbor list to the edges of a model.

#ifndef LMP_EQNN_EDGES_FROM_LIST_H
#define LMP_EQNN_EDGES_FROM_LIST_H

#include "eqnn/edges.hpp"

#include <cstddef>
#include <vector>

namespace LAMMPS_NS {

class Atom;

// LAMMPS's full neighbor list on the host, from any package.
struct NeighborRows {
  int n_rows;
  const int *atoms;           // [n_rows]
  const int *counts;          // [nlocal] neighbors of each atom
  const int *const *first;    // [nlocal] first neighbor of each atom
  std::size_t stride;         // from one neighbor to the next, in elements
};

// Nodes are the owned atoms that the model knows, then the ghosts whose features this rank needs:
// sources of edges, and ghosts that it passes on to other ranks. Images of a rank's own atoms are
// not nodes: an edge to an image points to the owned atom. So memory grows with the number of
// edges, not of ghosts, and a single rank has nothing to exchange. Atoms of types mapped to NULL
// and excluded atoms are not nodes either. The buffers only grow.
class EdgesFromList {
 public:
  // Call it after each rebuild of the neighbor list. Atoms and ghosts keep their indices until the
  // next one. excluded: [nlocal + nghost] 1 for excluded atoms, or empty if there are none.
  void find_owners(const Atom &atom, const std::vector<char> &excluded);

  // Makes nodes and edges. species_of_type: [ntypes + 1] row in the model's tables, -1 for NULL.
  // cutoff in Angstrom. Throws eqnn::Error if the position of an owned atom is not finite, if atoms
  // coincide, and if an owned atom is missing from the list.
  void build(const NeighborRows &list, const Atom &atom, const std::vector<int> &species_of_type,
             double cutoff);
  // Makes nodes without edges: the owned atoms and the ghosts in marked [nlocal + nghost]. rows:
  // the atoms of the list [n_rows]. Throws eqnn::Error if an owned atom is missing from the list.
  void mark_nodes(const Atom &atom, const std::vector<int> &species_of_type,
                  const std::vector<char> &marked, const int *rows, int n_rows);
  // Makes nodes of ghosts that this rank passes on.
  void add_nodes(const Atom &atom, const std::vector<int> &ghosts,
                 const std::vector<int> &species_of_type);
  // Removes all nodes and edges. Call it after build() or mark_nodes() has thrown.
  void clear();

  const eqnn::EdgeList &edges() const { return edges_; }
  // [n_nodes] local index of the atom of each node
  const std::vector<int> &atom_of_node() const { return atom_of_node_; }
  // [nlocal + nghost] node of each atom, -1 for none. Images of own atoms have no node.
  const std::vector<int> &node_of_atom() const { return node_of_atom_; }
  // [nlocal + nghost] for a ghost, the owned atom that it is an image of, or -1; for an owned atom,
  // itself
  const std::vector<int> &owner() const { return owner_; }

  double memory_usage() const;

 private:
  void add_node(int atom, int species);
  void add_centers(const Atom &atom, const std::vector<int> &species_of_type);
  // These throw eqnn::Error: require_finite() if the position of atom i is not finite,
  // require_row() if the atom is missing from the list.
  void require_finite(const Atom &atom, int i) const;
  void require_row(const Atom &atom, int i) const;
  bool counts(int atom) const { return excluded_.empty() || !excluded_[atom]; }

  eqnn::EdgeList edges_;
  std::vector<int> atom_of_node_, node_of_atom_;
  std::vector<int> owner_;
  std::vector<char> excluded_;
  std::vector<int> row_of_atom_;    // [nlocal] index of an atom in list.atoms, -1 for none
};

}    // namespace LAMMPS_NS

#endif
