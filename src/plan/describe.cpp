// SPDX-License-Identifier: BSD-3-Clause
#include "plan/plan.hpp"

#include <sstream>

namespace eqnn::plan {

std::string ValueNames::out(ValueId v) const {
  const NodeValue& x = values_[static_cast<std::size_t>(v)];
  return x.name + " [" + std::to_string(x.components) + ", " + std::to_string(x.channels) +
         "] in " + std::to_string(x.buffer) + "/" + std::to_string(x.adjoint_buffer) +
         (x.on_ghosts ? ", with ghosts" : "") + " = ";
}

std::string ValueNames::in(const Input& input) const {
  return values_[static_cast<std::size_t>(input.value)].name +
         (input.adjoint == Write::Add ? " (+=)" : " (=)");
}

std::string describe(const Plan& plan) {
  std::ostringstream text;
  for (std::size_t k = 0; k < plan.radials.size(); ++k) {
    const RadialTable& table = plan.radials[k];
    if (table.pairs) {
      text << "radial " << k << ": tables of degree " << table.degree << " for each pair of "
           << table.pairs->n_species() << " species that occurs, " << table.channels
           << " channels\n";
      continue;
    }
    text << "radial " << k << ": " << table.n_intervals << " intervals of degree " << table.degree
         << ", " << table.channels << " channels, relative error " << table.error << "\n";
  }
  for (std::size_t k = 0; k < plan.couplings.size(); ++k) {
    text << "matrix " << k << ": " << plan.couplings[k].components << " components\n";
  }
  const ValueNames names(plan.values);
  for (const Stage& stage : plan.stages) {
    text << std::visit([&](const auto& s) { return s.describe(names); }, stage) << "\n";
  }
  return text.str();
}

} // namespace eqnn::plan
