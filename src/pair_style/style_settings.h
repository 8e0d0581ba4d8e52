// SPDX-License-Identifier: GPL-2.0-only
// The words after pair_style eqnn.

#ifndef LMP_EQNN_STYLE_SETTINGS_H
#define LMP_EQNN_STYLE_SETTINGS_H

#include "eqnn/potential.hpp"

namespace LAMMPS_NS {

class LAMMPS;

// pair_style eqnn [precision double|mixed|single] [allow mean-per-atom|direct-forces]
//                 [products sparse|grid|fourier] [convolutions sparse|aligned] [couplings matrix|cp|node]
//                 [energy_zero model|free_atoms] [check_edges yes|no] [self_test yes|no]
struct StyleSettings {
  eqnn::PotentialOptions options;
  bool allow_mean_per_atom = false;
  bool allow_direct_forces = false;
  bool self_test = true;
  bool check_edges = false;

  bool leaves_out_free_atoms() const { return options.energy_zero == eqnn::EnergyZero::FreeAtoms; }
};

// An error on all ranks for a word that is not known.
StyleSettings read_settings(LAMMPS *lmp, int narg, char **arg);

}    // namespace LAMMPS_NS

#endif
