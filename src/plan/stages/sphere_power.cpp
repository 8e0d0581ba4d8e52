// SPDX-License-Identifier: BSD-3-Clause
#include "plan/stages/sphere_power.hpp"

namespace eqnn::plan {

std::string SpherePower::describe(const ValueNames& names) const {
  return names.out(out) + "powers on the sphere of " + names.in(in) + ", " + name_of(method);
}

SpherePower sphere_power(const SpherePolynomialStage& stage,
                         std::int32_t l_in,
                         std::int32_t l_out,
                         std::size_t n_species,
                         SphereMethod method) {
  SpherePower power;
  power.method = method;
  power.n_orders = static_cast<std::int32_t>(stage.orders.size());
  const std::int32_t band = power.n_orders * l_in;
  power.of_in = transform_of(method, l_in, band, l_out, false);
  power.of_out = transform_of(method, l_out, band, l_out, true);
  const auto n_channels = static_cast<std::size_t>(stage.orders.front().shape[1]);
  const auto n_degrees = static_cast<std::size_t>(l_out) + 1;
  for (std::size_t z = 0; z < n_species; ++z) {
    for (const Tensor& order : stage.orders) {
      for (std::size_t l = 0; l < n_degrees; ++l) {
        for (std::size_t c = 0; c < n_channels; ++c) {
          power.weights.push_back(order.values[(z * n_channels + c) * n_degrees + l]);
        }
      }
    }
  }
  return power;
}

double cost(const SpherePower& p) {
  return (3.0 * flops(p.of_in) + 2.0 * p.n_orders * flops(p.of_out)) / rate_of(p.method);
}

} // namespace eqnn::plan
