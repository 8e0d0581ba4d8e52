// SPDX-License-Identifier: BSD-3-Clause
// What per-atom energies mean where a model's energy is a mean per atom.
#pragma once

#include "model/model_spec.hpp"

namespace eqnn {

/// An evaluator's per-atom energy s e_i + b + E0 as its share N s e_i + b + E0 of the total energy
/// of n_atoms atoms.
inline double share_of_mean_per_atom(const EnergyScale& scale,
                                     std::int32_t species,
                                     double energy,
                                     double n_atoms) {
  const double offset = scale.shift + scale.reference[static_cast<std::size_t>(species)];
  return n_atoms * (energy - offset) + offset;
}

} // namespace eqnn
