// SPDX-License-Identifier: GPL-2.0-only
// Checks that the plugin is compatible with the LAMMPS that loads it.

#ifndef LMP_EQNN_PLUGIN_FIT_H
#define LMP_EQNN_PLUGIN_FIT_H

#include <string>

namespace LAMMPS_NS {

struct LammpsKind {
  int release;        // for example 20250722
  int tagint_size;    // bytes of an atom ID: 8 if built with -DLAMMPS_BIGBIG
  std::string mpi;    // see eqnn_mpi_family(); empty if unknown
};

// Finds the MPI family in the text of MPI_Get_library_version(). Libraries of a family share one
// binary interface. Returns "MPICH" (also for Intel, MVAPICH and Cray), "Open MPI", "no MPI" for
// LAMMPS's src/STUBS, or "" if unknown.
std::string eqnn_mpi_family(const std::string &library_version);

// Returns one sentence that says why the plugin cannot run here; empty if it can. LAMMPS itself
// only writes a warning to the log. But its class layouts change between releases, so a wrong
// plugin would read garbage.
std::string eqnn_misfit(const LammpsKind &compiled_for, const LammpsKind &running,
                        const std::string &missing_cpu_features);

}    // namespace LAMMPS_NS

#endif
