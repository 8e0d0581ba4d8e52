// SPDX-License-Identifier: GPL-2.0-only

#include "run_warnings.h"

#include "base/elements.hpp"

#include "atom.h"
#include "comm.h"
#include "compute.h"
#include "error.h"
#include "fix.h"
#include "lammps.h"
#include "modify.h"
#include "utils.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstring>

using namespace LAMMPS_NS;

namespace {

// Masses of types. If atoms have individual masses, the one that deviates most.
std::vector<double> masses_of_types(LAMMPS *lmp, const std::vector<double> &expected)
{
  const Atom &atom = *lmp->atom;
  std::vector<double> found = expected;
  if (!atom.rmass_flag) {
    for (int type = 1; type <= atom.ntypes; type++)
      if (atom.mass_setflag[type]) found[type] = atom.mass[type];    // LAMMPS rejects the others
    return found;
  }
  std::vector<double> low = expected, high = expected;
  for (int i = 0; i < atom.nlocal; i++) {
    low[atom.type[i]] = std::min(low[atom.type[i]], atom.rmass[i]);
    high[atom.type[i]] = std::max(high[atom.type[i]], atom.rmass[i]);
  }
  const int n = static_cast<int>(expected.size());
  MPI_Allreduce(MPI_IN_PLACE, low.data(), n, MPI_DOUBLE, MPI_MIN, lmp->world);
  MPI_Allreduce(MPI_IN_PLACE, high.data(), n, MPI_DOUBLE, MPI_MAX, lmp->world);
  for (int type = 1; type < n; type++)
    found[type] = high[type] - expected[type] > expected[type] - low[type] ? high[type] : low[type];
  return found;
}

// Half a mass unit allows for rounded masses. Deuterium and tritium are common, other isotopes are
// not.
bool is_mass_of(int atomic_number, double mass)
{
  constexpr double TOLERANCE = 0.5;
  const bool is_heavy_hydrogen = atomic_number == 1 && (std::abs(mass - 2.014) <= TOLERANCE ||
                                                        std::abs(mass - 3.016) <= TOLERANCE);
  return is_heavy_hydrogen || std::abs(mass - eqnn::atomic_mass(atomic_number)) <= TOLERANCE;
}

}    // namespace

/* ---------------------------------------------------------------------- */

void LAMMPS_NS::warn_of_masses(LAMMPS *lmp, const std::vector<int> &species_of_type,
                               const std::vector<std::int32_t> &species)
{
  std::vector<double> expected(species_of_type.size());
  for (std::size_t type = 1; type < species_of_type.size(); type++)
    if (species_of_type[type] >= 0)
      expected[type] = eqnn::atomic_mass(species[species_of_type[type]]);

  const std::vector<double> found = masses_of_types(lmp, expected);
  std::string wrong;
  for (std::size_t type = 1; type < species_of_type.size(); type++) {
    if (species_of_type[type] < 0) continue;
    const int number = species[species_of_type[type]];
    if (!is_mass_of(number, found[type]))
      wrong += fmt::format("{}type {} is {} ({:.3f} u) with mass {:.6g}", wrong.empty() ? "" : ", ",
                           type, eqnn::element_symbol(number), expected[type], found[type]);
  }
  if (!wrong.empty() && lmp->comm->me == 0)
    lmp->error->warning(FLERR,
                        "Pair style eqnn: masses do not fit the elements: {}. Are the elements of "
                        "pair_coeff in the order of the atom types?",
                        wrong);
}

/* ---------------------------------------------------------------------- */

void LAMMPS_NS::warn_of_threads(LAMMPS *lmp, int n_threads)
{
  const auto warn = [&](const std::string &text) {
    if (lmp->comm->me == 0) lmp->error->warning(FLERR, "Pair style eqnn: {}", text);
  };

  // 'package omp' creates a fix with this ID
  if (lmp->modify->get_fix_by_id("package_omp") && lmp->comm->nthreads != n_threads)
    warn(
        fmt::format("'package omp {}' has no effect on this style, which runs {} thread(s) on each "
                    "rank: set the environment variable OMP_NUM_THREADS before LAMMPS starts",
                    lmp->comm->nthreads, n_threads));

  // all cores on this node that the job may use; each rank may be bound to a few of them

  MPI_Comm node = MPI_COMM_NULL;
  MPI_Comm_split_type(lmp->world, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
  cpu_set_t cores;
  CPU_ZERO(&cores);
  const bool is_known = sched_getaffinity(0, sizeof(cores), &cores) == 0;
  unsigned char bits[sizeof(cores)];
  std::memcpy(bits, &cores, sizeof(cores));
  MPI_Allreduce(MPI_IN_PLACE, bits, sizeof(bits), MPI_BYTE, MPI_BOR, node);
  std::memcpy(&cores, bits, sizeof(cores));
  int n_ranks = 1;
  MPI_Comm_size(node, &n_ranks);
  int n_wanted = n_threads;
  MPI_Allreduce(MPI_IN_PLACE, &n_wanted, 1, MPI_INT, MPI_SUM, node);
  MPI_Comm_free(&node);

  const int n_cores = CPU_COUNT(&cores);
  if (is_known && n_wanted > n_cores)
    warn(fmt::format("{} rank(s) with {} thread(s) each share {} core(s) of this node and slow "
                     "each other down: use fewer ranks, or a smaller OMP_NUM_THREADS",
                     n_ranks, n_threads, n_cores));
}

/* ---------------------------------------------------------------------- */

void LAMMPS_NS::warn_of_chemical_potentials(LAMMPS *lmp, const std::string &free_atoms)
{
  const std::vector<std::string> changing = {"gcmc", "widom", "charge/regulation", "sgcmc"};
  for (const Fix *fix : lmp->modify->get_fix_list())
    if (std::find(changing.begin(), changing.end(), fix->style) != changing.end() &&
        lmp->comm->me == 0)
      lmp->error->warning(FLERR,
                          "Pair style eqnn: fix {} compares energies that include those of free "
                          "atoms ({}): its chemical potentials must include them too; 'pair_style "
                          "eqnn energy_zero free_atoms' leaves them out",
                          fix->style, free_atoms);
}

/* ---------------------------------------------------------------------- */

void LAMMPS_NS::refuse_heat_flux(LAMMPS *lmp)
{
  for (const Compute *compute : lmp->modify->get_compute_list())
    if (utils::strmatch(compute->style, "^heat/flux"))
      lmp->error->all(
          FLERR,
          "Pair style eqnn: compute {} ({}) is not the heat flux of a message-passing "
          "network, whose atoms' energies depend on atoms beyond the cutoff: remove it, "
          "and use fix thermal/conductivity or fix ehex for conductivities",
          compute->id, compute->style);
}
