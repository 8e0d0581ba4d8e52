// SPDX-License-Identifier: GPL-2.0-only
// The data of the pair style and its accelerated variants. It is separate to keep other libraries
// out of their headers.

#ifndef LMP_PAIR_EQNN_IMPL_H
#define LMP_PAIR_EQNN_IMPL_H

#include "edges_from_list.h"
#include "lammps_halo.h"
#include "list_rules.h"
#include "pair_eqnn.h"
#include "style_settings.h"

#include "eqnn/model.hpp"
#include "eqnn/potential.hpp"
#include "eqnn/self_test.hpp"

#include "lmptype.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace LAMMPS_NS {

struct PairEQNN::Impl {
  Impl(Pair *pair, LAMMPS *lmp, MPI_Comm world) : rules(lmp), halo(pair, world, edges) {}

  static constexpr int VIRIAL_WIDTH = 9;    // numbers per atom

  // what pair_coeff loaded

  struct Loaded {
    eqnn::Model model;
    std::unique_ptr<eqnn::Potential> potential;
    std::vector<int> species_of_type;          // [ntypes + 1], -1 for NULL
    std::vector<double> free_atom_energies;    // [n_species] eV, atom without neighbors
    std::optional<eqnn::SelfTestResult> tested;
    int n_species_of_file = 0;    // the model in memory has only the elements of pair_coeff
  };

  // element_of_type: see species_of_type()
  Loaded load(eqnn::Model file, const std::vector<std::string> &element_of_type) const;

  StyleSettings settings;
  std::optional<Loaded> loaded;
  double energy_unit = 1.0;    // 1 eV in LAMMPS's energy unit; both unit styles use Angstrom

  // whether these were done: memory_reported and threads_checked once per model, list_checked per
  // run

  bool memory_reported = false;
  bool threads_checked = false;
  bool list_checked = false;

  // the last neighbor list for which owners and exclusions were found

  bigint list_step = -1, list_number = -1;

  // data of one step

  ListRules rules;
  EdgesFromList edges;
  LammpsHalo halo;

  // nodes if the engine makes the edges; valid until the list is rebuilt; an image of an own atom
  // has the node of that atom

  std::vector<int> node_of_atom, is_mapped;    // [nlocal + nghost]
  std::vector<int> species_of_node;
  bool has_nodes = false;

  // with newton off: results that include the contributions to this rank's atoms from other ranks

  std::vector<double> forces_at_home, virials_at_home;
};

}    // namespace LAMMPS_NS

#endif
