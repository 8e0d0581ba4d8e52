// SPDX-License-Identifier: BSD-3-Clause
#include "plan/stages/zbl.hpp"

#include "base/units.hpp"
#include "plan/plan_builder.hpp"

#include <cmath>

namespace eqnn::plan {

std::string Zbl::describe(const ValueNames&) const { return "energy += screened repulsion"; }

void lower(const ZblStage& op, PlanBuilder& build) {
  Zbl repulsion;
  const std::size_t n = build.n_species();
  repulsion.n_species = static_cast<std::int32_t>(n);
  repulsion.p = op.p;
  repulsion.coefficients = op.coefficients;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      const double z_i = build.model().species[i];
      const double z_j = build.model().species[j];
      const double length = op.screening_length / (std::pow(z_i, op.screening_exponent) +
                                                   std::pow(z_j, op.screening_exponent));
      repulsion.prefactor.push_back(0.5 * kCoulomb * z_i * z_j);
      repulsion.range.push_back(op.radius.values[i] + op.radius.values[j]);
      for (const double exponent : op.exponents) {
        repulsion.exponents.push_back(exponent / length);
      }
    }
  }
  build.add(std::move(repulsion));
}

} // namespace eqnn::plan
