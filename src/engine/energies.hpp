// SPDX-License-Identifier: BSD-3-Clause
// How a network's outputs per atom become energies. Only this file and the reference evaluator,
// which does it again in plain loops, know this.
#pragma once

#include "base/edge_list.hpp"
#include "kernels/any_evaluator.hpp"
#include "model/model_spec.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace eqnn::engine {

/// E = f sum_i s e_i + sum_i (b + E0_i): scale s and reference energy E0 of atom i's species, shift
/// b; f is the number of atoms on all ranks if the energy is a mean per atom, else 1. e_i is zero
/// for an atom without neighbors if the model says so.
class Energies {
public:
  explicit Energies(const EnergyScale& scale);

  /// Whether f is the number of atoms.
  bool are_means() const { return are_means_; }

  /// Converts the network's energies in `outputs` to those of the atoms, and sets direct forces to
  /// zero where e_i is zero. factor: f. seed: [n_centers] becomes dE/de_i.
  void
  apply(const EdgeList& edges, double factor, Outputs& outputs, std::vector<double>& seed) const;

  /// The same for packed structures: f is the number of atoms of each.
  void apply_each(const EdgeList& edges, Outputs& outputs, std::vector<double>& seed) const;

  /// The same for energies that are on a device. Valid until the next call.
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
