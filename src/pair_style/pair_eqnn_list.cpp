// SPDX-License-Identifier: GPL-2.0-only
/* ----------------------------------------------------------------------
   LAMMPS - Large-scale Atomic/Molecular Massively Parallel Simulator
   https://www.lammps.org/, Sandia National Laboratories
   LAMMPS development team: developers@lammps.org

   This software is distributed under the GNU General Public License.
------------------------------------------------------------------------- */

// The pair style when the engine makes the edges from LAMMPS's list. Nodes come from the
// whole list, including its skin, so they stay the same until the list is rebuilt.

#include "pair_eqnn.h"

#include "pair_eqnn_impl.h"

#include "base/error.hpp"
#include "eqnn/on_device.hpp"

#include "atom.h"
#include "comm.h"
#include "neigh_list.h"

using namespace LAMMPS_NS;

/* ----------------------------------------------------------------------
   Adds the names of atoms to a failure on the device: makes the edges again on the host, where
   names are known. Returns the failure unchanged if that finds nothing or memory runs out.
------------------------------------------------------------------------- */

std::string PairEQNN::explain(const std::string &failure)
{
  const std::string found =
      eqnn::failure_of([] { return std::string(); },
                       [&] {
                         impl->edges.build(rows_of_list(), *atom, impl->loaded->species_of_type,
                                           impl->loaded->model.cutoff());
                       });
  return found.empty() ? failure : found;
}

/* ----------------------------------------------------------------------
   Collective. Decides which atoms are nodes, and which of them are exchanged. marked: [nlocal +
   nghost] 1 for neighbors of this rank's atoms. A failure here ends all ranks at the first agree()
   of the evaluation.
------------------------------------------------------------------------- */

void PairEQNN::make_nodes(const std::vector<char> &marked, const int *rows, int n_rows)
{
  const std::vector<int> &species_of_type = impl->loaded->species_of_type;
  EdgesFromList &edges = impl->edges;
  const std::string failure =
      eqnn::failure_of([] { return "not enough memory for the atoms on this rank"; },
                       [&] { edges.mark_nodes(*atom, species_of_type, marked, rows, n_rows); });
  if (!failure.empty()) edges.clear();
  impl->halo.set_failure(failure);
  edges.add_nodes(*atom, impl->halo.find_wanted(comm, *atom, true), species_of_type);

  const int n_all = atom->nlocal + atom->nghost;
  impl->node_of_atom.resize(n_all);
  impl->is_mapped.resize(n_all);
  for (int i = 0; i < n_all; i++) {
    const int holder = edges.owner()[i] < 0 ? i : edges.owner()[i];
    impl->node_of_atom[i] = edges.node_of_atom()[holder];
    impl->is_mapped[i] = species_of_type[atom->type[i]] >= 0 ? 1 : 0;
  }
  impl->has_nodes = failure.empty();
}

/* ----------------------------------------------------------------------
   Whether the engine makes the edges. Not if the step needs them on the host.
------------------------------------------------------------------------- */

bool PairEQNN::makes_edges_there() const
{
  if (impl->settings.check_edges || impl->loaded->model.forces() == eqnn::ForceKind::Direct)
    return false;
  return impl->settings.edges == EdgesWhere::Auto ? impl->loaded->potential->is_on_gpu()
                                                  : impl->settings.edges == EdgesWhere::Device;
}

/* ----------------------------------------------------------------------
   Collective. Whether types of atoms changed between mapped and NULL on any rank. Types can change
   without a new list (fix atom/swap).
------------------------------------------------------------------------- */

bool PairEQNN::are_types_changed() const
{
  int is_changed = 0;
  for (std::size_t i = 0; i < impl->is_mapped.size(); i++)
    if ((impl->loaded->species_of_type[atom->type[i]] >= 0 ? 1 : 0) != impl->is_mapped[i])
      is_changed = 1;
  if (comm->nprocs > 1) MPI_Allreduce(MPI_IN_PLACE, &is_changed, 1, MPI_INT, MPI_MAX, world);
  return is_changed != 0;
}

/* ----------------------------------------------------------------------
   [nlocal + nghost] 1 for the neighbors of this rank's atoms. The skin is included, so that nodes
   stay the same until the list is rebuilt.
------------------------------------------------------------------------- */

std::vector<char> PairEQNN::mark_neighbors() const
{
  std::vector<char> marked(atom->nlocal + atom->nghost);
  for (int row = 0; row < list->inum; row++) {
    const int i = list->ilist[row];
    if (impl->loaded->species_of_type[atom->type[i]] < 0) continue;
    for (int n = 0; n < list->numneigh[i]; n++) marked[list->firstneigh[i][n] & NEIGHMASK] = 1;
  }
  return marked;
}

/* ---------------------------------------------------------------------- */

eqnn::NeighborsOnHost PairEQNN::neighbors(bool is_new)
{
  const std::vector<int> &atom_of_node = impl->edges.atom_of_node();
  impl->species_of_node.resize(atom_of_node.size());
  for (std::size_t node = 0; node < atom_of_node.size(); node++)
    impl->species_of_node[node] = impl->loaded->species_of_type[atom->type[atom_of_node[node]]];
  eqnn::NeighborsOnHost found;
  found.n_centers = impl->edges.edges().n_centers;
  found.n_nodes = impl->edges.edges().n_nodes;
  found.n_atoms = static_cast<int>(impl->node_of_atom.size());
  found.species = impl->species_of_node.data();
  found.atom_of_node = atom_of_node.data();
  found.node_of_atom = impl->node_of_atom.data();
  found.positions = found.n_atoms > 0 ? atom->x[0] : nullptr;
  found.counts = list->numneigh;
  found.first = list->firstneigh;
  found.neighbor_mask = NEIGHMASK;
  found.cutoff = impl->loaded->model.cutoff();
  found.is_new = is_new;
  return found;
}

/* ---------------------------------------------------------------------- */

const eqnn::Observables &PairEQNN::evaluate_list()
{
  const bool is_new_list = look_at_list();
  const bool is_new = is_new_list || !impl->has_nodes || are_types_changed();
  if (is_new) make_nodes(mark_neighbors(), list->ilist, list->inum);

  impl->halo.set_explanation([this](const std::string &failure) { return explain(failure); });
  return impl->loaded->potential->evaluate(neighbors(is_new), impl->halo, wanted());
}
