// SPDX-License-Identifier: GPL-2.0-only

#include "edges_from_list.h"

#include "base/error.hpp"

#include "atom.h"
#include "lmptype.h"

#include <algorithm>
#include <cmath>
#include <utility>

using namespace LAMMPS_NS;

/* ----------------------------------------------------------------------
   finds owners by atom ID; does not need LAMMPS's atom map
------------------------------------------------------------------------- */

void EdgesFromList::find_owners(const Atom &atom, const std::vector<char> &excluded)
{
  excluded_ = excluded;
  owner_.assign(atom.nlocal + atom.nghost, -1);
  std::vector<std::pair<tagint, int>> owned(atom.nlocal);
  for (int i = 0; i < atom.nlocal; i++) {
    owner_[i] = i;
    owned[i] = {atom.tag[i], i};
  }
  std::sort(owned.begin(), owned.end());
  for (int j = atom.nlocal; j < atom.nlocal + atom.nghost; j++) {
    const auto found = std::lower_bound(owned.begin(), owned.end(), std::pair(atom.tag[j], 0));
    if (found != owned.end() && found->first == atom.tag[j]) owner_[j] = found->second;
  }
}

/* ---------------------------------------------------------------------- */

void EdgesFromList::add_node(int atom, int species)
{
  node_of_atom_[atom] = static_cast<int>(atom_of_node_.size());
  atom_of_node_.push_back(atom);
  edges_.species.push_back(species);
  edges_.n_nodes++;
}

void EdgesFromList::add_nodes(const Atom &atom, const std::vector<int> &ghosts,
                              const std::vector<int> &species_of_type)
{
  for (const int j : ghosts) add_node(j, species_of_type[atom.type[j]]);
}

void EdgesFromList::clear()
{
  std::fill(node_of_atom_.begin(), node_of_atom_.end(), -1);
  atom_of_node_.clear();
  edges_.species.clear();
  edges_.source.clear();
  edges_.vector.clear();
  edges_.begin.assign(1, 0);
  edges_.n_centers = edges_.n_nodes = 0;
}

/* ---------------------------------------------------------------------- */

void EdgesFromList::require_finite(const Atom &atom, int i) const
{
  const double *const x = atom.x[i];

  // comparisons with NaN are false: in LAMMPS's list, such an atom would silently lose its
  // neighbors

  if (!std::isfinite(x[0]) || !std::isfinite(x[1]) || !std::isfinite(x[2]))
    eqnn::fail("atom ", atom.tag[i], " is at (", x[0], ", ", x[1], ", ", x[2],
               "), expected finite coordinates: the run has blown up; try a smaller timestep, or "
               "minimize first.");
}

void EdgesFromList::require_row(const Atom &atom, int i) const
{
  if (row_of_atom_[i] < 0)
    eqnn::fail(
        "atom ", atom.tag[i],
        " is not in the neighbor list, but the model needs all of its atoms: types were changed "
        "between runs without setup ('pre no'), or another command removes it from the list.");
}

/* ---------------------------------------------------------------------- */

void EdgesFromList::add_centers(const Atom &atom, const std::vector<int> &species_of_type)
{
  node_of_atom_.assign(atom.nlocal + atom.nghost, -1);
  clear();
  for (int i = 0; i < atom.nlocal; i++) {
    const int species = species_of_type[atom.type[i]];
    if (species >= 0 && counts(i)) add_node(i, species);
  }
  edges_.n_centers = edges_.n_nodes;
}

/* ---------------------------------------------------------------------- */

void EdgesFromList::mark_nodes(const Atom &atom, const std::vector<int> &species_of_type,
                               const std::vector<char> &marked, const int *rows, int n_rows)
{
  add_centers(atom, species_of_type);
  row_of_atom_.assign(atom.nlocal, -1);
  for (int row = 0; row < n_rows; row++) row_of_atom_[rows[row]] = row;
  for (const int i : atom_of_node_) require_row(atom, i);
  for (int j = atom.nlocal; j < atom.nlocal + atom.nghost; j++) {
    const int species = species_of_type[atom.type[j]];
    if (marked[j] && owner_[j] < 0 && species >= 0 && counts(j)) add_node(j, species);
  }
}

/* ---------------------------------------------------------------------- */

void EdgesFromList::build(const NeighborRows &list, const Atom &atom,
                          const std::vector<int> &species_of_type, double cutoff)
{
  add_centers(atom, species_of_type);

  const double *const *x = atom.x;
  const double cutsq = cutoff * cutoff;
  const double shortest_sq = eqnn::kShortestEdge * eqnn::kShortestEdge;

  // a list for pair style hybrid leaves out atoms of other styles

  row_of_atom_.assign(atom.nlocal, -1);
  std::size_t n_pairs = 0;
  for (int row = 0; row < list.n_rows; row++) {
    row_of_atom_[list.atoms[row]] = row;
    n_pairs += list.counts[list.atoms[row]];
  }
  edges_.source.reserve(n_pairs);
  edges_.vector.reserve(3 * n_pairs);

  edges_.begin.clear();
  for (int center = 0; center < edges_.n_centers; center++) {
    edges_.begin.push_back(edges_.n_edges());
    const int i = atom_of_node_[center];

    require_finite(atom, i);
    require_row(atom, i);
    const int *neighbors = list.first[i];
    const int n_neighbors = list.counts[i];
    for (int n = 0; n < n_neighbors; n++) {
      const int j = neighbors[n * list.stride] & NEIGHMASK;
      const double dx = x[j][0] - x[i][0];
      const double dy = x[j][1] - x[i][1];
      const double dz = x[j][2] - x[i][2];
      const double rsq = dx * dx + dy * dy + dz * dz;
      if (rsq >= cutsq) continue;

      const int holder = owner_[j] < 0 ? j : owner_[j];
      const int species = species_of_type[atom.type[holder]];
      if (species < 0 || !counts(holder)) continue;
      if (rsq < shortest_sq)
        eqnn::fail("atoms ", atom.tag[i], " and ", atom.tag[j], " are ", std::sqrt(rsq),
                   " Angstrom apart, expected at least 1e-6: they lie on top of each other; check "
                   "the starting structure and the box.");
      if (node_of_atom_[holder] < 0) add_node(holder, species);
      edges_.source.push_back(node_of_atom_[holder]);
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
         bytes(atom_of_node_) + bytes(node_of_atom_) + bytes(owner_) + bytes(excluded_) +
         bytes(row_of_atom_);
}
