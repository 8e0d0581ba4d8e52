// SPDX-License-Identifier: GPL-2.0-only
// Warnings on rank 0 about likely mistakes, before the run starts: a day later they are expensive.

#ifndef LMP_EQNN_RUN_WARNINGS_H
#define LMP_EQNN_RUN_WARNINGS_H

#include <cstdint>
#include <string>
#include <vector>

namespace LAMMPS_NS {

class LAMMPS;

// Masses that do not fit the elements: usually types in another order than in pair_coeff.
// species_of_type: [ntypes + 1], -1 for NULL; species: atomic numbers. All ranks call it together.
void warn_of_masses(LAMMPS *lmp, const std::vector<int> &species_of_type,
                    const std::vector<std::int32_t> &species);

// More threads on a node than cores, and 'package omp', which this style does not read. All ranks
// call it together.
void warn_of_threads(LAMMPS *lmp, int n_threads);

// Fixes that compare energies of systems with different numbers of atoms. free_atoms: as in "H
// -13.6 eV"
void warn_of_chemical_potentials(LAMMPS *lmp, const std::string &free_atoms);

// An error where a compute would sum up a heat flux of per-atom stresses.
void refuse_heat_flux(LAMMPS *lmp);

}    // namespace LAMMPS_NS

#endif
