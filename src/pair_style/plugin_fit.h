// SPDX-License-Identifier: GPL-2.0-only
// Checks that the plugin and the LAMMPS that loads it fit together.

#ifndef LMP_EQNN_PLUGIN_FIT_H
#define LMP_EQNN_PLUGIN_FIT_H

#include <string>

namespace LAMMPS_NS {

struct LammpsKind {
  int release;        // as in 20250722
  int tagint_size;    // bytes of an atom ID: 8 if built with -DLAMMPS_BIGBIG
  std::string mpi;    // as eqnn_mpi_family names it, or empty where that is not known
};

// The MPI family in the text of MPI_Get_library_version: a family shares one binary interface.
// "MPICH" (Intel's, MVAPICH's and Cray's too), "Open MPI", "no MPI" of LAMMPS's src/STUBS, or "".
std::string eqnn_mpi_family(const std::string &library_version);

// Why the plugin cannot run here, in one sentence; empty if it can. LAMMPS itself only prints a
// remark in the log. But its class layouts change between releases, so a wrong plugin would read
// garbage.
std::string eqnn_misfit(const LammpsKind &compiled_for, const LammpsKind &running,
                        const std::string &missing_cpu_features);

}    // namespace LAMMPS_NS

#endif
