// SPDX-License-Identifier: BSD-3-Clause
#include "plan/sphere_transform.hpp"

#include "so3/quadrature.hpp"
#include "so3/spherical_harmonics.hpp"

#include <array>
#include <cmath>

namespace eqnn::plan {
namespace {

constexpr double kGridRate = 0.80;
constexpr double kFourierRate = 0.52;

SphereTransform
dense_transform(std::int32_t l_max, std::int32_t degree, bool weighted, Quantity quantity) {
  const so3::SphereRule rule = so3::product_rule(degree);
  const double scale = 1.0 / std::sqrt(4.0 * std::acos(-1.0));
  SphereTransform transform;
  transform.n_components = sphere_components(l_max);
  transform.n_points = static_cast<std::int32_t>(rule.point.size());
  for (std::int32_t k = 0; k < transform.n_components; ++k) {
    transform.order.push_back(k);
  }
  for (std::size_t p = 0; p < rule.point.size(); ++p) {
    const auto& u = rule.point[p];
    // No point lies on the polar axis, y.
    const double s = std::sqrt(u[0] * u[0] + u[2] * u[2]);
    const std::array<double, 3> t1{u[2] / s, 0.0, -u[0] / s};
    const std::array<double, 3> t2{
        u[1] * t1[2] - u[2] * t1[1], u[2] * t1[0] - u[0] * t1[2], u[0] * t1[1] - u[1] * t1[0]};
    const auto& t = quantity == Quantity::AlongRing ? t1 : t2;
    const auto y = so3::spherical_harmonics(l_max, u);
    for (std::size_t k = 0; k < y.value.size(); ++k) {
      const auto& g = y.gradient[k];
      const double value =
          quantity == Quantity::Value ? y.value[k] : g[0] * t[0] + g[1] * t[1] + g[2] * t[2];
      transform.matrix.push_back(scale * value * (weighted ? rule.weight[p] : 1.0));
    }
  }
  return transform;
}

/// The polar part of S_lm(theta, phi) = polar(theta) {cos m phi, sin |m| phi}, and its slope. It is
/// periodic in theta, with the sign (-1)^m under theta -> 2 pi - theta.
struct PolarPart {
  double value = 0.0, slope = 0.0;
};

PolarPart polar_part(std::int32_t l, std::int32_t m, double theta) {
  const double scale = 1.0 / std::sqrt(4.0 * std::acos(-1.0));
  const std::array<double, 3> point{0.0, std::cos(theta), std::sin(theta)}; // phi = 0
  const auto y = so3::spherical_harmonics(l, point);
  const auto k = static_cast<std::size_t>(l * l + l + std::abs(m));
  return {scale * y.value[k],
          scale * (-std::sin(theta) * y.gradient[k][1] + std::cos(theta) * y.gradient[k][2])};
}

/// Integral of cos(n theta) sin(theta) from 0 to pi.
double cosine_moment(std::int32_t n) { return n % 2 == 0 ? 2.0 / (1.0 - 1.0 * n * n) : 0.0; }

/// Integrals over the sphere of the polar part of (l, m) times the harmonics u = 0 .. band of
/// theta: cosines for even m, sines for odd m.
std::vector<double> polar_moments(std::int32_t l, std::int32_t m, std::int32_t band) {
  const bool is_even = m % 2 == 0;
  std::vector<double> series(static_cast<std::size_t>(l) + 1, 0.0); // for the polar part
  for (std::int32_t k = 0; k <= l; ++k) {
    for (std::int32_t j = 0; j <= l; ++j) { // l + 1 rings suffice for degree l
      const double angle = std::acos(-1.0) * (j + 0.5) / (l + 1);
      series[static_cast<std::size_t>(k)] += (k == 0 ? 1.0 : 2.0) / (l + 1) *
                                             polar_part(l, m, angle).value *
                                             (is_even ? std::cos(k * angle) : std::sin(k * angle));
    }
  }
  std::vector<double> moments;
  for (std::int32_t u = 0; u <= band; ++u) {
    double sum = 0.0;
    for (std::int32_t k = 0; k <= l; ++k) {
      sum += 0.5 * series[static_cast<std::size_t>(k)] *
             (is_even ? cosine_moment(u - k) + cosine_moment(u + k)
                      : cosine_moment(u - k) - cosine_moment(u + k));
    }
    moments.push_back(sum);
  }
  return moments;
}

/// Weight of the values on the ring at theta in a projection: Fourier coefficients in terms of
/// values, times the moments.
double ring_weight(const std::vector<double>& moments, std::int32_t m, double theta) {
  const auto n = static_cast<std::int32_t>(moments.size());
  double weight = 0.0;
  for (std::int32_t u = 0; u < n; ++u) {
    weight += (u == 0 ? 1.0 : 2.0) / n * moments[static_cast<std::size_t>(u)] *
              (m % 2 == 0 ? std::cos(u * theta) : std::sin(u * theta));
  }
  return weight;
}

/// Functions of degree up to `band` in both angles, on a grid of the torus. Only half of its rings
/// are needed: theta_j = pi (j + 1/2) / (band + 1). Projections are exact, because the polar
/// integral of each harmonic of theta is known in closed form.
SphereTransform torus_transform(
    std::int32_t l_max, std::int32_t band, std::int32_t l_out, bool weighted, Quantity quantity) {
  const double pi = std::acos(-1.0);
  const std::int32_t n_azimuth = band + l_out + 1;
  SphereTransform transform;
  transform.n_components = sphere_components(l_max);
  transform.n_rings = band + 1;
  transform.n_points = transform.n_rings * n_azimuth;
  const auto theta = [&](std::int32_t j) { return pi * (j + 0.5) / (band + 1); };
  for (std::int32_t m = -l_max; m <= l_max; ++m) {
    for (std::int32_t l = std::abs(m); l <= l_max; ++l) {
      transform.order.push_back(l * l + l + m);
    }
    std::vector<std::vector<double>> moments; // for degrees from |m| up
    for (std::int32_t l = std::abs(m); weighted && l <= l_max; ++l) {
      moments.push_back(polar_moments(l, m, band));
    }
    for (std::int32_t j = 0; j < transform.n_rings; ++j) {
      for (std::int32_t l = std::abs(m); l <= l_max; ++l) {
        if (weighted) {
          const auto& moment = moments[static_cast<std::size_t>(l - std::abs(m))];
          transform.polar.push_back(ring_weight(moment, m, theta(j)) * 2.0 * pi / n_azimuth);
        } else {
          const PolarPart part = polar_part(l, m, theta(j));
          transform.polar.push_back(quantity == Quantity::Value ? part.value
                                    : quantity == Quantity::AlongRing
                                        ? part.value / std::sin(theta(j))
                                        : -part.slope);
        }
      }
    }
  }
  for (std::int32_t a = 0; a < n_azimuth; ++a) {
    const double phi = 2.0 * pi * a / n_azimuth;
    for (std::int32_t m = -l_max; m <= l_max; ++m) {
      const double cosine = std::cos(m * phi);
      const double sine = std::sin(-m * phi); // sin(|m| phi) for m < 0
      if (quantity == Quantity::AlongRing) {
        transform.azimuthal.push_back(m < 0 ? -m * cosine : -m * std::sin(m * phi));
      } else {
        transform.azimuthal.push_back(m < 0 ? sine : cosine);
      }
    }
  }
  return transform;
}

} // namespace

SphereTransform transform_of(SphereMethod method,
                             std::int32_t l_max,
                             std::int32_t band,
                             std::int32_t l_out,
                             bool weighted,
                             Quantity quantity) {
  return method == SphereMethod::Fourier ? torus_transform(l_max, band, l_out, weighted, quantity)
                                         : dense_transform(l_max, band + l_out, weighted, quantity);
}

double flops(const SphereTransform& t) {
  return 2.0 * (t.n_rings == 0 ? static_cast<double>(t.matrix.size())
                               : static_cast<double>(t.polar.size()) +
                                     t.n_rings * static_cast<double>(t.azimuthal.size()));
}

double rate_of(SphereMethod method) {
  return method == SphereMethod::Grid ? kGridRate : kFourierRate;
}

} // namespace eqnn::plan
