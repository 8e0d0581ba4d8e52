// SPDX-License-Identifier: GPL-2.0-only

#include "list_rules.h"

#include "base/error.hpp"
#include "eqnn/edges.hpp"

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "group.h"
#include "lmptype.h"
#include "neighbor.h"

#include <algorithm>
#include <cmath>
#include <map>

using namespace LAMMPS_NS;

namespace {

constexpr int kAll = 1;    // the bit of group all

// gives access to a protected member: the group whose atoms Comm sends
struct OpenComm : public Comm {
  static int Comm::*border_group() { return &OpenComm::bordergroup; }
};

}    // namespace

/* ---------------------------------------------------------------------- */

void ListRules::start_run(const std::vector<int> &species_of_type)
{
  species_of_type_ = species_of_type;
  taken_.assign(species_of_type.size() * species_of_type.size(), 0);
  warned_ = false;
}

void ListRules::take_pair(int i, int j)
{
  const std::size_t n = species_of_type_.size();
  taken_[i * n + j] = taken_[j * n + i] = 1;
}

/* ---------------------------------------------------------------------- */

void ListRules::require_complete_list()
{
  // pair style hybrid: pair_coeff I J other, pair_coeff I J none

  const int n_types = atom->ntypes;
  for (int i = 1; i <= n_types; i++)
    for (int j = i; j <= n_types; j++)
      if (is_mapped(i) && is_mapped(j) && !taken_[i * species_of_type_.size() + j])
        error->all(FLERR,
                   "Pair style eqnn: types {} and {} are mapped to elements, but pair_coeff gives "
                   "their pairs to another style or to none, and the model needs all pairs: use "
                   "pair_style hybrid/overlay, or map one of the types to NULL",
                   i, j);

  // special_bonds: if the atom style has room for bonds, they can be created at any step (fix
  // bond/create, bond/react, deposit mol)

  const bool can_have_bonds =
      atom->molecular != Atom::ATOMIC &&
      (atom->nbonds > 0 || atom->bond_per_atom > 0 || atom->molecular == Atom::TEMPLATE);
  if (can_have_bonds)
    for (int k = 1; k <= 3; k++)
      if (neighbor->special_flag[k] == 0)
        error->all(FLERR,
                   "Pair style eqnn: special_bonds removes 1-{} neighbors from the neighbor list, "
                   "but the model needs all pairs: use 'special_bonds lj/coul 1 1 1', or "
                   "1.0e-50 instead of 0 if other pair styles must not see them",
                   k + 1);

  if (neighbor->includegroup)
    require_all_in_group(group->bitmask[neighbor->includegroup], "neigh_modify include");
  if (const int border_group = comm->*OpenComm::border_group())
    require_all_in_group(group->bitmask[border_group], "comm_modify group");
}

/* ---------------------------------------------------------------------- */

void ListRules::require_all_in_group(int group_bit, const char *command) const
{
  bigint n_outside = 0;
  for (int i = 0; i < atom->nlocal; i++)
    if (is_mapped(atom->type[i]) && !(atom->mask[i] & group_bit)) n_outside++;
  MPI_Allreduce(MPI_IN_PLACE, &n_outside, 1, MPI_LMP_BIGINT, MPI_SUM, world);
  if (n_outside > 0)
    error->all(FLERR,
               "Pair style eqnn: '{}' leaves {} of the model's atoms out of the neighbor list, but "
               "the model needs all of them: remove it, or map the types of these atoms to NULL",
               command, n_outside);
}

/* ---------------------------------------------------------------------- */

int ListRules::groups_of_exclusion() const
{
  int groups = kAll;
  for (int m = 0; m < neighbor->nex_group; m++)
    groups |= neighbor->ex1_bit[m] | neighbor->ex2_bit[m];
  for (int m = 0; m < neighbor->nex_mol; m++) groups |= neighbor->ex_mol_bit[m];
  return groups;
}

/* ----------------------------------------------------------------------
   the few different classes of mapped atoms, on all ranks together
------------------------------------------------------------------------- */

std::vector<ListRules::AtomClass> ListRules::classes(int groups) const
{
  std::vector<AtomClass> mine;
  for (int i = 0; i < atom->nlocal; i++)
    if (is_mapped(atom->type[i])) {
      const AtomClass found{atom->type[i], atom->mask[i] & groups};
      if (std::find(mine.rbegin(), mine.rend(), found) == mine.rend()) mine.push_back(found);
    }

  static_assert(sizeof(AtomClass) == 2 * sizeof(int), "sent as pairs of integers");
  const int n_mine = 2 * static_cast<int>(mine.size());
  std::vector<int> counts(comm->nprocs), offsets(comm->nprocs);
  MPI_Allgather(&n_mine, 1, MPI_INT, counts.data(), 1, MPI_INT, world);
  int n_all = 0;
  for (int rank = 0; rank < comm->nprocs; rank++) {
    offsets[rank] = n_all;
    n_all += counts[rank];
  }
  std::vector<AtomClass> all(n_all / 2);
  MPI_Allgatherv(mine.data(), n_mine, MPI_INT, all.data(), counts.data(), offsets.data(), MPI_INT,
                 world);
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

/* ----------------------------------------------------------------------
   the same rules as in LAMMPS's NPair::exclusion()
------------------------------------------------------------------------- */

bool ListRules::is_pair_excluded(const AtomClass &a, const AtomClass &b) const
{
  if (neighbor->nex_type && neighbor->ex_type[a.type][b.type]) return true;
  for (int m = 0; m < neighbor->nex_group; m++) {
    const int one = neighbor->ex1_bit[m], two = neighbor->ex2_bit[m];
    if ((a.groups & one && b.groups & two) || (a.groups & two && b.groups & one)) return true;
  }
  return false;
}

bool ListRules::is_pair_excluded_by_molecule(const AtomClass &a, const AtomClass &b) const
{
  for (int m = 0; m < neighbor->nex_mol; m++)
    if (a.groups & b.groups & neighbor->ex_mol_bit[m]) return true;
  return false;
}

bool ListRules::is_pair_excluded(int i, int j) const
{
  if (!neighbor->exclude) return false;
  const AtomClass a{atom->type[i], atom->mask[i]}, b{atom->type[j], atom->mask[j]};
  if (is_pair_excluded(a, b)) return true;
  for (int m = 0; m < neighbor->nex_mol; m++) {
    const bool is_same_molecule = atom->molecule[i] == atom->molecule[j];
    if (a.groups & b.groups & neighbor->ex_mol_bit[m] &&
        is_same_molecule == (neighbor->ex_mol_intra[m] != 0))
      return true;
  }
  return false;
}

/* ----------------------------------------------------------------------
   Monte Carlo fixes compute the energy without an atom: they move it from group all to a group
   whose pairs with all are excluded. An atom that a user excludes from all by neigh_modify is
   treated the same. Only the rules matter, not the atoms present: an atom is gone if no atom of any
   of the model's types could be its neighbor.
------------------------------------------------------------------------- */

bool ListRules::is_gone(const AtomClass &a) const
{
  for (int type = 1; type <= atom->ntypes; type++)
    if (is_mapped(type) && !is_pair_excluded(a, {type, kAll})) return false;
  return !(a.groups & kAll) || is_pair_excluded(a, a);
}

void ListRules::find_excluded()
{
  excluded_.clear();
  if (!neighbor->exclude) return;
  if (!warned_) warn_of_partial_exclusion();

  const int n_all = atom->nlocal + atom->nghost;
  excluded_.assign(n_all, 0);
  for (int i = 0; i < n_all; i++)
    if (is_mapped(atom->type[i]) && is_gone({atom->type[i], atom->mask[i]})) excluded_[i] = 1;
}

void ListRules::warn_of_partial_exclusion()
{
  const std::vector<AtomClass> all = classes(groups_of_exclusion());
  for (const AtomClass &a : all)
    for (const AtomClass &b : all)
      if (!is_gone(a) && !is_gone(b))
        warned_ = warned_ || is_pair_excluded(a, b) || is_pair_excluded_by_molecule(a, b);
  if (warned_ && comm->me == 0)
    error->warning(FLERR, "Pair style eqnn: the model does not see the pairs that 'neigh_modify "
                          "exclude' removes from the neighbor list");
}

/* ---------------------------------------------------------------------- */

void ListRules::count_edges(const eqnn::EdgeList &edges, const std::vector<int> &atom_of_node,
                            double cutoff) const
{
  const double *const *x = atom->x;
  std::vector<int> counted;
  for (int i = 0; i < atom->nlocal + atom->nghost; i++)
    if (is_mapped(atom->type[i]) && (excluded_.empty() || !excluded_[i])) counted.push_back(i);

  using Bin = std::vector<int>;
  const auto bin_of = [&](int i) {
    Bin bin(3);
    for (int d = 0; d < 3; d++) bin[d] = static_cast<int>(std::floor(x[i][d] / cutoff));
    return bin;
  };
  std::map<Bin, std::vector<int>> bins;
  for (const int i : counted) bins[bin_of(i)].push_back(i);

  for (int center = 0; center < edges.n_centers; center++) {
    const int i = atom_of_node[center];
    const Bin home = bin_of(i);
    bigint n_found = 0;
    for (int k = 0; k < 27; k++) {
      const auto bin =
          bins.find({home[0] + k % 3 - 1, home[1] + k / 3 % 3 - 1, home[2] + k / 9 - 1});
      if (bin == bins.end()) continue;
      for (const int j : bin->second) {
        const double dx = x[j][0] - x[i][0], dy = x[j][1] - x[i][1], dz = x[j][2] - x[i][2];
        if (j != i && dx * dx + dy * dy + dz * dz < cutoff * cutoff && !is_pair_excluded(i, j))
          n_found++;
      }
    }
    const bigint n_edges = edges.begin[center + 1] - edges.begin[center];
    if (n_found != n_edges)
      eqnn::fail(
          "check_edges: atom ", atom->tag[i], " has ", n_found, " neighbors within ", cutoff,
          " Angstrom, but the neighbor list gave ", n_edges,
          ": the list is too old (neigh_modify, neighbor) or a command removes pairs from it.");
  }
}
