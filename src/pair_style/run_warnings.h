// SPDX-License-Identifier: GPL-2.0-only
// Warns on rank 0 about likely mistakes before the run starts. A day later they would be expensive.

#ifndef LMP_EQNN_RUN_WARNINGS_H
#define LMP_EQNN_RUN_WARNINGS_H

#include <cstdint>
#include <string>
#include <vector>

namespace LAMMPS_NS {

class LAMMPS;

// Collective. Warns about masses that do not match the elements, usually because atom types and
// pair_coeff are in different orders. species_of_type: [ntypes + 1], -1 for NULL; species: atomic
// numbers.
void warn_of_masses(LAMMPS *lmp, const std::vector<int> &species_of_type,
                    const std::vector<std::int32_t> &species);

// Collective. Warns about more threads on a node than cores, and about 'package omp', which this
// style ignores.
void warn_of_threads(LAMMPS *lmp, int n_threads);

// Warns about fixes that compare energies of systems with different numbers of atoms. free_atoms:
// for example "H -13.6 eV".
void warn_of_chemical_potentials(LAMMPS *lmp, const std::string &free_atoms);

// Ends all ranks with an error if a compute heat/flux is defined, which would use per-atom
// stresses.
void refuse_heat_flux(LAMMPS *lmp);

}    // namespace LAMMPS_NS

#endif
