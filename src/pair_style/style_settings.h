// SPDX-License-Identifier: GPL-2.0-only
// Reads the keywords after pair_style eqnn.

#ifndef LMP_EQNN_STYLE_SETTINGS_H
#define LMP_EQNN_STYLE_SETTINGS_H

#include "eqnn/potential.hpp"

namespace LAMMPS_NS {

class LAMMPS;

// pair_style eqnn [precision double|mixed|single] [allow mean-per-atom|direct-forces]
//                 [products sparse|grid|fourier] [convolutions sparse|aligned]
//                 [couplings matrix|cp|node] [device cpu|gpu|auto] [edges host|device]
//                 [energy_zero model|free_atoms] [check_edges yes|no] [self_test yes|no]

// Whether the pair style (on the host) or the engine (on the device that runs the model) makes the
// edges from LAMMPS's neighbor list. The default is the engine on a GPU, otherwise the pair style.
enum class EdgesWhere { Auto, Host, Device };

struct StyleSettings {
  eqnn::PotentialOptions options;
  bool allow_mean_per_atom = false;
  bool allow_direct_forces = false;
  bool self_test = true;
  bool check_edges = false;
  EdgesWhere edges = EdgesWhere::Auto;

  bool leaves_out_free_atoms() const { return options.energy_zero == eqnn::EnergyZero::FreeAtoms; }
};

// Ends all ranks with an error if a keyword or value is unknown.
StyleSettings read_settings(LAMMPS *lmp, int narg, char **arg);

}    // namespace LAMMPS_NS

#endif
