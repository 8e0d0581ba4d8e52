// SPDX-License-Identifier: GPL-2.0-only
// Reads a model file on rank 0 and sends it to all ranks.

#ifndef LMP_EQNN_READ_ON_ONE_RANK_H
#define LMP_EQNN_READ_ON_ONE_RANK_H

#include <string>

namespace LAMMPS_NS {

class LAMMPS;

// Collective. Returns the bytes of the file that LAMMPS finds by this name. Ends all ranks with an
// error if rank 0 cannot read it, if it is a folder, or if it has 2^31 bytes or more. Throws
// eqnn::Error if memory runs out.
std::string read_on_one_rank(LAMMPS *lmp, const char *name);

}    // namespace LAMMPS_NS

#endif
