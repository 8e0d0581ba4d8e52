// SPDX-License-Identifier: BSD-3-Clause
#include "so3/quadrature.hpp"

#include <cmath>

namespace eqnn::so3 {

LegendreRule gauss_legendre(std::int32_t n) {
  LegendreRule rule;
  const double pi = std::acos(-1.0);
  for (std::int32_t k = 0; k < n; ++k) {
    double x = std::cos(pi * (k + 0.75) / (n + 0.5));
    double slope = 1.0;
    for (int iteration = 0; iteration < 50; ++iteration) { // Newton's method for P_n
      double below = 1.0;
      double value = x;
      for (std::int32_t j = 2; j <= n; ++j) {
        const double next = ((2 * j - 1) * x * value - (j - 1) * below) / j;
        below = value;
        value = next;
      }
      slope = n * (x * value - below) / (x * x - 1.0);
      x -= value / slope;
    }
    rule.node.push_back(x);
    rule.weight.push_back(2.0 / ((1.0 - x * x) * slope * slope));
  }
  return rule;
}

SphereRule product_rule(std::int32_t degree) {
  const LegendreRule polar = gauss_legendre(degree / 2 + 1);
  const std::int32_t n_azimuth = degree + 1;
  const double pi = std::acos(-1.0);
  SphereRule rule;
  for (std::size_t p = 0; p < polar.node.size(); ++p) {
    const double y = polar.node[p];
    const double s = std::sqrt(1.0 - y * y);
    for (std::int32_t a = 0; a < n_azimuth; ++a) {
      const double phi = 2.0 * pi * a / n_azimuth;
      rule.point.push_back({s * std::sin(phi), y, s * std::cos(phi)});
      rule.weight.push_back(2.0 * pi / n_azimuth * polar.weight[p]);
    }
  }
  return rule;
}

} // namespace eqnn::so3
