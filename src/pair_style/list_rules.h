// SPDX-License-Identifier: GPL-2.0-only
// The rule: every pair of mapped atoms within the cutoff is in the neighbor list, or the user is
// told. LAMMPS removes pairs from the list for special_bonds, neigh_modify exclude, neigh_modify
// include, comm_modify group and pair style hybrid. A missing edge would silently change the
// energy. So each of these is rejected, causes a warning, or means exclusion: an atom that is
// excluded from all others contributes nothing.

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

  // Call it when LAMMPS initializes a run. species_of_type: [ntypes + 1], -1 for NULL
  void start_run(const std::vector<int> &species_of_type);

  // Records that this style computes the pairs of types i and j.
  void take_pair(int i, int j);

  // Collective, before the first step. Ends all ranks with an error if pairs are or can be missing.
  void require_complete_list();

  // Collective, after each rebuild of the list. Finds the atoms that are excluded from all others.
  // Warns once per run if pairs of other atoms are excluded.
  void find_excluded();

  // [nlocal + nghost] 1 for excluded atoms; empty if there is no exclusion rule
  const std::vector<char> &excluded() const { return excluded_; }

  // Checks the edges with a second neighbor search. Throws eqnn::Error for the first atom whose
  // number of neighbors differs. cutoff in Angstrom.
  void count_edges(const eqnn::EdgeList &edges, const std::vector<int> &atom_of_node,
                   double cutoff) const;

 private:
  // the properties of atoms that exclusion depends on
  struct AtomClass {
    int type;
    int groups;    // the bits of the group mask that exclusion uses
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
