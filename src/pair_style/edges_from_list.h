// SPDX-License-Identifier: GPL-2.0-only
// LAMMPS's full neighbor list, as the edges that a model sees.

#ifndef LMP_EQNN_EDGES_FROM_LIST_H
#define LMP_EQNN_EDGES_FROM_LIST_H

#include "base/edge_list.hpp"

#include <vector>

namespace LAMMPS_NS {

class Atom;
class NeighList;

// Nodes are the atoms that the model knows: owned ones first, then ghosts. Atoms of types mapped to
// NULL are none. The buffers only grow.
class EdgesFromList {
 public:
  // species_of_type: [ntypes + 1] row of the model's tables, -1 for NULL. cutoff in Angstrom.
  // Throws eqnn::Error for a position that is not finite and for atoms on top of each other.
  void build(const NeighList &list, const Atom &atom, const std::vector<int> &species_of_type,
             double cutoff);

  const eqnn::EdgeList &edges() const { return edges_; }
  // [n_nodes] local index of each node's atom
  const std::vector<int> &atom_of_node() const { return atom_of_node_; }
  // [nlocal + nghost] node of each atom, -1 for none
  const std::vector<int> &node_of_atom() const { return node_of_atom_; }

  double memory_usage() const;

 private:
  void number_nodes(const Atom &atom, const std::vector<int> &species_of_type);

  eqnn::EdgeList edges_;
  std::vector<int> atom_of_node_, node_of_atom_;
  std::vector<int> row_of_atom_;    // [nlocal] the atom's place in list.ilist, -1 for none
};

}    // namespace LAMMPS_NS

#endif
