// SPDX-License-Identifier: BSD-3-Clause
// Y_lm = N_lm Q_l^m(w) (cos or sin)(m phi) sin^m(theta), where Q_l^m is the m-th derivative of the
// Legendre polynomial P_l, w = cos(theta), and (u + iv)^m carries the azimuth without division.
// With e3nn's axes, (u, v, w) = (z, x, y). Derivatives use dual numbers, so they share no formula
// with the recurrences of the kernels.
#include "so3/spherical_harmonics.hpp"

#include <cmath>

namespace eqnn::so3 {
namespace {

/// A value and its gradient with respect to the three coordinates of the vector.
struct Dual {
  double value = 0.0;
  std::array<double, 3> gradient{};
};

Dual operator+(const Dual& a, const Dual& b) {
  Dual c{a.value + b.value, {}};
  for (std::size_t k = 0; k < 3; ++k) {
    c.gradient[k] = a.gradient[k] + b.gradient[k];
  }
  return c;
}

Dual operator*(const Dual& a, const Dual& b) {
  Dual c{a.value * b.value, {}};
  for (std::size_t k = 0; k < 3; ++k) {
    c.gradient[k] = a.value * b.gradient[k] + a.gradient[k] * b.value;
  }
  return c;
}

Dual operator*(double s, const Dual& a) { return Dual{s, {}} * a; }

/// m-th derivative of P_l: Q_m^m = (2m-1)!!, (l-m) Q_l^m = (2l-1) w Q_{l-1}^m - (l+m-1) Q_{l-2}^m.
Dual legendre_derivative(int l, int m, const Dual& w) {
  Dual below{0.0, {}};
  Dual current{1.0, {}};
  for (int k = 1; k <= m; ++k) {
    current.value *= 2 * k - 1;
  }
  for (int n = m + 1; n <= l; ++n) {
    const Dual next =
        (1.0 / (n - m)) * ((2.0 * n - 1.0) * (w * current) + (-(n + m - 1.0)) * below);
    below = current;
    current = next;
  }
  return current;
}

/// sqrt((2l+1) (2 - delta_m0) (l-m)!/(l+m)!)
double normalization(int l, int m) {
  double ratio = 1.0;
  for (int k = l - m + 1; k <= l + m; ++k) {
    ratio /= k;
  }
  return std::sqrt((2.0 * l + 1.0) * (m == 0 ? 1.0 : 2.0) * ratio);
}

} // namespace

Harmonics spherical_harmonics(std::int32_t l_max, const std::array<double, 3>& vector) {
  const double r = std::sqrt(vector[0] * vector[0] + vector[1] * vector[1] + vector[2] * vector[2]);
  std::array<Dual, 3> unit;
  for (std::size_t a = 0; a < 3; ++a) {
    unit[a].value = vector[a] / r;
    for (std::size_t b = 0; b < 3; ++b) {
      unit[a].gradient[b] = ((a == b ? 1.0 : 0.0) - vector[a] * vector[b] / (r * r)) / r;
    }
  }
  const Dual& u = unit[2];
  const Dual& v = unit[0];
  const Dual& w = unit[1];

  Harmonics harmonics;
  harmonics.value.resize(static_cast<std::size_t>(sphere_components(l_max)));
  harmonics.gradient.resize(harmonics.value.size());
  const auto set = [&](int l, int m, const Dual& y) {
    const auto lm = static_cast<std::size_t>(l * l + l + m);
    harmonics.value[lm] = y.value;
    harmonics.gradient[lm] = y.gradient;
  };
  Dual cosine{1.0, {}}; // Re (u + iv)^m
  Dual sine{0.0, {}};   // Im (u + iv)^m
  for (int m = 0; m <= l_max; ++m) {
    for (int l = m; l <= l_max; ++l) {
      const Dual polar = normalization(l, m) * legendre_derivative(l, m, w);
      set(l, m, polar * cosine);
      if (m > 0) {
        set(l, -m, polar * sine);
      }
    }
    const Dual next_cosine = u * cosine + (-1.0) * (v * sine);
    sine = u * sine + v * cosine;
    cosine = next_cosine;
  }
  return harmonics;
}

} // namespace eqnn::so3
