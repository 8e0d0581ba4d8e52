// SPDX-License-Identifier: GPL-2.0-only

#include "edges_from_list.h"

#include "base/error.hpp"

#include "atom.h"
#include "neigh_list.h"

#include <cmath>

using namespace LAMMPS_NS;

/* ---------------------------------------------------------------------- */

void EdgesFromList::number_nodes(const Atom &atom, const std::vector<int> &species_of_type)
{
  const int nall = atom.nlocal + atom.nghost;
  node_of_atom_.assign(nall, -1);
  atom_of_node_.clear();
  edges_.species.clear();
  edges_.n_centers = 0;

  for (int i = 0; i < nall; i++) {
    const int species = species_of_type[atom.type[i]];
    if (species < 0) continue;
    node_of_atom_[i] = static_cast<int>(atom_of_node_.size());
    atom_of_node_.push_back(i);
    edges_.species.push_back(species);
    if (i < atom.nlocal) edges_.n_centers++;
  }
  edges_.n_nodes = static_cast<std::int32_t>(atom_of_node_.size());
}

/* ---------------------------------------------------------------------- */

void EdgesFromList::build(const NeighList &list, const Atom &atom,
                          const std::vector<int> &species_of_type, double cutoff)
{
  number_nodes(atom, species_of_type);

  const double *const *x = atom.x;
  const double cutsq = cutoff * cutoff;
  const double shortest_sq = eqnn::kShortestEdge * eqnn::kShortestEdge;

  // a list made for pair style hybrid leaves out atoms

  row_of_atom_.assign(atom.nlocal, -1);
  std::size_t n_pairs = 0;
  for (int row = 0; row < list.inum; row++) {
    row_of_atom_[list.ilist[row]] = row;
    n_pairs += list.numneigh[list.ilist[row]];
  }

  edges_.begin.clear();
  edges_.source.clear();
  edges_.vector.clear();
  edges_.source.reserve(n_pairs);
  edges_.vector.reserve(3 * n_pairs);

  for (int center = 0; center < edges_.n_centers; center++) {
    edges_.begin.push_back(edges_.n_edges());
    const int i = atom_of_node_[center];

    // comparisons with NaN are false: such an atom would lose its neighbors in silence

    if (!std::isfinite(x[i][0]) || !std::isfinite(x[i][1]) || !std::isfinite(x[i][2]))
      eqnn::fail("atom ", atom.tag[i], " is at (", x[i][0], ", ", x[i][1], ", ", x[i][2],
                 "), expected finite coordinates: the run has blown up; try a smaller timestep, or "
                 "minimize first.");

    if (row_of_atom_[i] < 0) continue;
    const int *neighbors = list.firstneigh[i];
    const int n_neighbors = list.numneigh[i];
    for (int n = 0; n < n_neighbors; n++) {
      const int j = neighbors[n] & NEIGHMASK;
      const int source = node_of_atom_[j];
      if (source < 0) continue;
      const double dx = x[j][0] - x[i][0];
      const double dy = x[j][1] - x[i][1];
      const double dz = x[j][2] - x[i][2];
      const double rsq = dx * dx + dy * dy + dz * dz;
      if (rsq >= cutsq) continue;
      if (rsq < shortest_sq)
        eqnn::fail("atoms ", atom.tag[i], " and ", atom.tag[j], " are ", std::sqrt(rsq),
                   " Angstrom apart, expected at least 1e-6: they lie on top of each other; check "
                   "the starting structure and the box.");
      edges_.source.push_back(source);
      edges_.vector.push_back(dx);
      edges_.vector.push_back(dy);
      edges_.vector.push_back(dz);
    }
  }
  edges_.begin.push_back(edges_.n_edges());
}

/* ---------------------------------------------------------------------- */

double EdgesFromList::memory_usage() const
{
  const auto bytes = [](const auto &vector) {
    return static_cast<double>(vector.capacity() * sizeof(vector[0]));
  };
  return bytes(edges_.species) + bytes(edges_.begin) + bytes(edges_.source) + bytes(edges_.vector) +
         bytes(atom_of_node_) + bytes(node_of_atom_) + bytes(row_of_atom_);
}
