// SPDX-License-Identifier: GPL-2.0-only
// The rule: every pair of mapped atoms within the cutoff is in the neighbor list, or the user is told.
// LAMMPS removes pairs from it for special_bonds, neigh_modify exclude, neigh_modify include,
// comm_modify group and pair style hybrid. A missing edge silently changes the energy. So each of
// these is refused, causes a warning, or has the meaning of exclusion: an atom that is excluded
// from all others contributes nothing.

#ifndef LMP_EQNN_LIST_RULES_H
#define LMP_EQNN_LIST_RULES_H

#include "pointers.h"

#include <vector>

namespace eqnn {
struct EdgeList;
}

namespace LAMMPS_NS {

class ListRules : protected Pointers {
 public:
  explicit ListRules(LAMMPS *lmp) : Pointers(lmp) {}

  // LAMMPS initializes a run. species_of_type: [ntypes + 1], -1 for NULL
  void start_run(const std::vector<int> &species_of_type);

  // the pairs of types i and j are this style's
  void take_pair(int i, int j);

  // Before the first step: an error on all ranks if pairs are or can be left out.
  void require_complete_list();

  // Collective, after each building of the list: finds the atoms that are excluded from all others.
  // Warns if pairs of other atoms are excluded.
  void find_excluded();

  // [nlocal + nghost] 1 for atoms that count for nothing; empty if there are none
  const std::vector<char> &excluded() const { return excluded_; }

  // Checks the edges with a second neighbor search: throws eqnn::Error at the first atom whose
  // neighbors differ. cutoff in Angstrom.
  void count_edges(const eqnn::EdgeList &edges, const std::vector<int> &atom_of_node,
                   double cutoff) const;

 private:
  // what exclusion can tell apart
  struct AtomClass {
    int type;
    int groups;    // of the group mask, the bits that exclusion asks for
    bool operator<(const AtomClass &other) const
    {
      return type != other.type ? type < other.type : groups < other.groups;
    }
    bool operator==(const AtomClass &other) const
    {
      return type == other.type && groups == other.groups;
    }
  };

  bool is_mapped(int type) const { return species_of_type_[type] >= 0; }
  int groups_of_exclusion() const;
  std::vector<AtomClass> classes(int groups) const;
  bool is_pair_excluded(const AtomClass &a, const AtomClass &b) const;
  bool is_pair_excluded_by_molecule(const AtomClass &a, const AtomClass &b) const;
  bool is_pair_excluded(int i, int j) const;
  bool is_gone(const AtomClass &a) const;
  void warn_of_partial_exclusion();
  void require_all_in_group(int group_bit, const char *command) const;

  std::vector<int> species_of_type_;
  std::vector<char> taken_;    // [(ntypes + 1)^2]
  std::vector<char> excluded_;
  bool warned_ = false;
};

}    // namespace LAMMPS_NS

#endif
