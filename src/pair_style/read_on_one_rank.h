// SPDX-License-Identifier: GPL-2.0-only
// The file of a model, read on one rank for all.

#ifndef LMP_EQNN_READ_ON_ONE_RANK_H
#define LMP_EQNN_READ_ON_ONE_RANK_H

#include <string>

namespace LAMMPS_NS {

class LAMMPS;

// The bytes of a file that LAMMPS finds by this name; all ranks call it together. An error on all ranks
// where rank 0 cannot read it; throws eqnn::Error where memory does not suffice.
std::string read_on_one_rank(LAMMPS *lmp, const char *name);

}    // namespace LAMMPS_NS

#endif
