// SPDX-License-Identifier: BSD-3-Clause
#include "so3/wigner_d.hpp"

#include "so3/spherical_harmonics.hpp"

#include <cmath>

namespace eqnn::so3 {

std::vector<double> wigner_d(std::int32_t l, const Matrix3& rotation) {
  // D_mn = <Y_m(R r) Y_n(r)>, the mean over the sphere (component normalisation: <Y_m Y_n> =
  // delta_mn). The mean by a product rule that is exact for polynomials of degree 2l:
  // Gauss-Legendre in the polar cosine, equidistant azimuths.
  const int n_polar = l + 1;
  const int n_azimuth = 2 * l + 1;
  const auto n = static_cast<std::size_t>(2 * l + 1);
  std::vector<double> d(n * n, 0.0);
  const double pi = std::acos(-1.0);
  for (int p = 0; p < n_polar; ++p) {
    double x = std::cos(pi * (p + 0.75) / (n_polar + 0.5));
    double slope = 1.0;
    for (int iteration = 0; iteration < 50; ++iteration) { // Newton on the Legendre polynomial
      double below = 1.0;
      double value = x;
      for (int k = 2; k <= n_polar; ++k) {
        const double next = ((2 * k - 1) * x * value - (k - 1) * below) / k;
        below = value;
        value = next;
      }
      slope = n_polar * (x * value - below) / (x * x - 1.0);
      x -= value / slope;
    }
    // sums to 1 over all points
    const double weight = 1.0 / ((1.0 - x * x) * slope * slope) / n_azimuth;
    for (int a = 0; a < n_azimuth; ++a) {
      const double phi = 2.0 * pi * a / n_azimuth;
      const double s = std::sqrt(1.0 - x * x);
      const std::array<double, 3> r{s * std::cos(phi), s * std::sin(phi), x};
      std::array<double, 3> rotated{};
      for (std::size_t i = 0; i < 3; ++i) {
        rotated[i] =
            rotation[3 * i] * r[0] + rotation[3 * i + 1] * r[1] + rotation[3 * i + 2] * r[2];
      }
      const auto y = spherical_harmonics(l, r);
      const auto y_rotated = spherical_harmonics(l, rotated);
      const auto first = static_cast<std::size_t>(l * l);
      for (std::size_t m = 0; m < n; ++m) {
        for (std::size_t k = 0; k < n; ++k) {
          d[m * n + k] += weight * y_rotated.value[first + m] * y.value[first + k];
        }
      }
    }
  }
  return d;
}

} // namespace eqnn::so3
