// SPDX-License-Identifier: GPL-2.0-only
// Maps LAMMPS's atom types to rows in a model's species tables.

#ifndef LMP_EQNN_TYPE_MAP_H
#define LMP_EQNN_TYPE_MAP_H

#include <cstdint>
#include <string>
#include <vector>

namespace eqnn {
class Model;
}

namespace LAMMPS_NS {

// element_of_type: [ntypes + 1] chemical symbols, empty for NULL; entry 0 is unused.
// Returns [ntypes + 1] rows, -1 for NULL. Throws eqnn::Error for an element that the model lacks.
std::vector<int> species_of_type(const eqnn::Model &model,
                                 const std::vector<std::string> &element_of_type);

// Atomic numbers of these elements, in increasing order without duplicates. Throws eqnn::Error like
// species_of_type().
std::vector<std::int32_t> elements_in_use(const eqnn::Model &model,
                                          const std::vector<std::string> &element_of_type);

}    // namespace LAMMPS_NS

#endif
