// SPDX-License-Identifier: BSD-3-Clause
// Converts a network's per-atom outputs to energies. Only this file and the reference evaluator,
// which repeats it in plain loops, know how.
#pragma once

#include "base/edge_list.hpp"
#include "kernels/any_evaluator.hpp"
#include "model/model_spec.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace eqnn::engine {

/// E = f sum_i s e_i + sum_i (b + E0_i): scale s and reference energy E0 of atom i's species, shift
/// b; f is the number of atoms on all ranks if the energy is a mean per atom, else 1. If the model
/// says so, e_i is zero for an atom without neighbors.
class Energies {
public:
  explicit Energies(const EnergyScale& scale);

  /// Whether the energy is a mean per atom, so that f is the number of atoms.
  bool are_means() const { return are_means_; }

  /// Replaces the network's e_i in `outputs` by the energies of the atoms. Where e_i is set to
  /// zero, so are the direct forces on atom i. factor: f. Fills seed [n_centers] with dE/de_i.
  void
  apply(const EdgeList& edges, double factor, Outputs& outputs, std::vector<double>& seed) const;

  /// The same for packed structures. For mean energies, f is the number of atoms in each structure.
  void apply_each(const EdgeList& edges, Outputs& outputs, std::vector<double>& seed) const;

  /// The same for energies on a device. The result is valid until the next call.
  const kernels::EnergyOfAtoms& on_device(double factor);

  /// Makes later energies relative to these: [n_species] eV, or empty.
  void set_zero(std::vector<double> zero) { zero_ = std::move(zero); }

  const std::vector<double>& zero() const { return zero_; }

private:
  /// factor_of(i): f of the structure of center i
  template <class FactorOf> void apply_with(const EdgeList& edges,
                                            const FactorOf& factor_of,
                                            Outputs& outputs,
                                            std::vector<double>& seed) const;

  bool are_means_, isolated_atoms_are_zero_;
  std::vector<double> scale_;  ///< [n_species] s
  std::vector<double> offset_; ///< [n_species] b + E0, eV
  std::vector<double> zero_;
  kernels::EnergyOfAtoms on_device_;
};

} // namespace eqnn::engine
