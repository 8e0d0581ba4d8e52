// SPDX-License-Identifier: GPL-2.0-only

#include "plugin_fit.h"

#include "eqnn/version.hpp"

std::string LAMMPS_NS::eqnn_mpi_family(const std::string &library_version)
{
  const auto has = [&](const char *word) {
    return library_version.find(word) != std::string::npos;
  };
  if (has("STUBS")) return "no MPI";
  if (has("Open MPI") || has("Open-MPI")) return "Open MPI";
  if (has("MPICH") || has("Intel(R) MPI") || has("MVAPICH")) return "MPICH";
  return "";
}

/* ---------------------------------------------------------------------- */

std::string LAMMPS_NS::eqnn_misfit(const LammpsKind &compiled_for, const LammpsKind &running,
                                   const std::string &missing_cpu_features)
{
  const std::string name = std::string("eqnnplugin.so ") + eqnn::version() + " was compiled for ";
  if (running.release != compiled_for.release)
    return name + "LAMMPS " + std::to_string(compiled_for.release) + ", but this is LAMMPS " +
           std::to_string(running.release) +
           ": compile it with -DLAMMPS_SOURCE_DIR=<source of this LAMMPS>";
  if (running.tagint_size != compiled_for.tagint_size)
    return name + "atom IDs of " + std::to_string(compiled_for.tagint_size) +
           " bytes, but in this LAMMPS they have " + std::to_string(running.tagint_size) +
           ": compile it with -DLAMMPS_SIZES=" + (running.tagint_size == 8 ? "BIGBIG" : "SMALLBIG");
  if (!running.mpi.empty() && !compiled_for.mpi.empty() && running.mpi != compiled_for.mpi)
    return name + "a LAMMPS with " + compiled_for.mpi + ", but this one has " + running.mpi +
           ": compile it with -DLAMMPS_MPI_INCLUDE_DIR=<folder of this LAMMPS's mpi.h>";
  if (!missing_cpu_features.empty())
    return name + "a processor with " + missing_cpu_features +
           ", which this one lacks: compile it here, or for all processors with 'make MARCH='";
  return "";
}
