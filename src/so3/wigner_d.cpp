// SPDX-License-Identifier: BSD-3-Clause
#include "so3/wigner_d.hpp"

#include "so3/quadrature.hpp"
#include "so3/spherical_harmonics.hpp"

#include <cmath>

namespace eqnn::so3 {

std::vector<double> wigner_d(std::int32_t l, const Matrix3& rotation) {
  // D_mn = <Y_m(R r) Y_n(r)>, the mean over the sphere (component normalization: <Y_m Y_n> =
  // delta_mn).
  const SphereRule rule = product_rule(2 * l);
  const auto n = static_cast<std::size_t>(2 * l + 1);
  std::vector<double> d(n * n, 0.0);
  const double area = 4.0 * std::acos(-1.0);
  for (std::size_t p = 0; p < rule.point.size(); ++p) {
    const auto& r = rule.point[p];
    std::array<double, 3> rotated{};
    for (std::size_t i = 0; i < 3; ++i) {
      rotated[i] = rotation[3 * i] * r[0] + rotation[3 * i + 1] * r[1] + rotation[3 * i + 2] * r[2];
    }
    const auto y = spherical_harmonics(l, r);
    const auto y_rotated = spherical_harmonics(l, rotated);
    const auto first = static_cast<std::size_t>(l * l);
    for (std::size_t m = 0; m < n; ++m) {
      for (std::size_t k = 0; k < n; ++k) {
        d[m * n + k] += rule.weight[p] / area * y_rotated.value[first + m] * y.value[first + k];
      }
    }
  }
  return d;
}

} // namespace eqnn::so3
