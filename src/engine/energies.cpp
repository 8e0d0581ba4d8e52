// SPDX-License-Identifier: BSD-3-Clause
#include "engine/energies.hpp"

#include <algorithm>

namespace eqnn::engine {

Energies::Energies(const EnergyScale& scale)
    : are_means_(scale.semantics == EnergySemantics::MeanPerAtom)
    , isolated_atoms_are_zero_(scale.isolated_atoms_are_zero)
    , scale_(scale.scale) {
  for (const double reference : scale.reference) {
    offset_.push_back(scale.shift + reference);
  }
}

template <class FactorOf> void Energies::apply_with(const EdgeList& edges,
                                                    const FactorOf& factor_of,
                                                    Outputs& outputs,
                                                    std::vector<double>& seed) const {
  seed.resize(static_cast<std::size_t>(edges.n_centers));
  for (std::size_t i = 0; i < seed.size(); ++i) {
    const bool zeroed = isolated_atoms_are_zero_ && edges.begin[i] == edges.begin[i + 1];
    const auto species = static_cast<std::size_t>(edges.species[i]);
    seed[i] = zeroed ? 0.0 : factor_of(i) * scale_[species];
    outputs.energy[i] = (zeroed ? 0.0 : seed[i] * outputs.energy[i]) + offset_[species];
    if (zeroed && !outputs.direct_forces.empty()) {
      std::fill_n(outputs.direct_forces.begin() + static_cast<std::ptrdiff_t>(3 * i), 3, 0.0);
    }
  }
  if (!zero_.empty()) {
    for (std::size_t i = 0; i < seed.size(); ++i) {
      outputs.energy[i] -= zero_[static_cast<std::size_t>(edges.species[i])];
    }
  }
}

void Energies::apply(const EdgeList& edges,
                     double factor,
                     Outputs& outputs,
                     std::vector<double>& seed) const {
  apply_with(edges, [factor](std::size_t) { return factor; }, outputs, seed);
}

void Energies::apply_each(const EdgeList& edges,
                          Outputs& outputs,
                          std::vector<double>& seed) const {
  std::size_t next = 0; // the structure after that of the center
  apply_with(
      edges,
      [&](std::size_t i) {
        if (!are_means_) {
          return 1.0;
        }
        while (static_cast<std::size_t>(edges.structures[next]) <= i) {
          ++next;
        }
        return static_cast<double>(edges.structures[next] - edges.structures[next - 1]);
      },
      outputs,
      seed);
}

const kernels::EnergyOfAtoms& Energies::on_device(double factor) {
  on_device_.scale = scale_;
  on_device_.offset = offset_;
  for (std::size_t k = 0; k < zero_.size(); ++k) {
    on_device_.offset[k] -= zero_[k];
  }
  on_device_.factor = factor;
  on_device_.isolated_atoms_are_zero = isolated_atoms_are_zero_;
  return on_device_;
}

} // namespace eqnn::engine
