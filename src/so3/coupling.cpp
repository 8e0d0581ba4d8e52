// SPDX-License-Identifier: BSD-3-Clause
#include "so3/coupling.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>

namespace eqnn::so3 {
namespace {

// Extended precision, for factorials up to 31! and alternating sums of their ratios. It keeps
// errors from cancellation below the rounding of double.
using Real = long double;

Real factorial(std::int32_t n) {
  Real product = 1;
  for (std::int32_t k = 2; k <= n; ++k) {
    product *= static_cast<Real>(k);
  }
  return product;
}

/// <l1 m1 l2 m2 | l3 m1+m2> by Racah's formula.
double clebsch_gordan(
    std::int32_t l1, std::int32_t m1, std::int32_t l2, std::int32_t m2, std::int32_t l3) {
  const std::int32_t m3 = m1 + m2;
  if (std::abs(m1) > l1 || std::abs(m2) > l2 || std::abs(m3) > l3) {
    return 0.0;
  }
  const std::int32_t low = std::max({0, l2 - l3 - m1, l1 - l3 + m2});
  const std::int32_t high = std::min({l1 + l2 - l3, l1 - m1, l2 + m2});
  Real total = 0;
  for (std::int32_t k = low; k <= high; ++k) {
    const Real below = factorial(k) * factorial(l1 + l2 - l3 - k) * factorial(l1 - m1 - k) *
                       factorial(l2 + m2 - k) * factorial(l3 - l2 + m1 + k) *
                       factorial(l3 - l1 - m2 + k);
    total += (k % 2 == 0 ? 1 : -1) / below;
  }
  const Real triangle = static_cast<Real>(2 * l3 + 1) * factorial(l3 + l1 - l2) *
                        factorial(l3 - l1 + l2) * factorial(l1 + l2 - l3) /
                        factorial(l1 + l2 + l3 + 1);
  const Real norm = factorial(l3 + m3) * factorial(l3 - m3) * factorial(l2 - m2) *
                    factorial(l2 + m2) * factorial(l1 - m1) * factorial(l1 + m1);
  return static_cast<double>(std::sqrt(triangle) * std::sqrt(norm) * total);
}

/// Entry [complex m, real n] of the change of basis, with e3nn's phase (-i)^l.
std::complex<double> real_to_complex(std::int32_t l, std::int32_t m, std::int32_t n) {
  const std::complex<double> i(0.0, 1.0);
  constexpr std::array<std::complex<double>, 4> kPhase{
      {{1.0, 0.0}, {0.0, -1.0}, {-1.0, 0.0}, {0.0, 1.0}}};
  std::complex<double> q = 0.0;
  const double half = std::sqrt(0.5);
  if (m == 0 && n == 0) {
    q = 1.0;
  } else if (m < 0 && n == -m) {
    q = half;
  } else if (m < 0 && n == m) {
    q = -i * half;
  } else if (m > 0 && n == m) {
    q = m % 2 == 0 ? half : -half;
  } else if (m > 0 && n == -m) {
    q = i * (m % 2 == 0 ? half : -half);
  }
  return kPhase[static_cast<std::size_t>(l % 4)] * q;
}

double norm_of_degrees(std::int32_t l1, std::int32_t l2, std::int32_t l3) {
  return std::sqrt((2.0 * l1 + 1.0) * (2.0 * l2 + 1.0) * (2.0 * l3 + 1.0) /
                   (4.0 * std::acos(-1.0)));
}

} // namespace

std::vector<double> wigner_3j(std::int32_t l1, std::int32_t l2, std::int32_t l3) {
  const std::int32_t d2 = 2 * l2 + 1;
  const std::int32_t d3 = 2 * l3 + 1;
  std::vector<double> w(static_cast<std::size_t>((2 * l1 + 1) * d2 * d3), 0.0);
  // A real component n combines the complex components m = n and m = -n.
  const auto parts = [](std::int32_t n) {
    return n == 0 ? std::vector<std::int32_t>{0} : std::vector<std::int32_t>{n, -n};
  };
  double square = 0.0;
  for (std::int32_t n1 = -l1; n1 <= l1; ++n1) {
    for (std::int32_t n2 = -l2; n2 <= l2; ++n2) {
      for (std::int32_t n3 = -l3; n3 <= l3; ++n3) {
        std::complex<double> sum = 0.0;
        for (const std::int32_t m1 : parts(n1)) {
          for (const std::int32_t m2 : parts(n2)) {
            if (std::abs(m1 + m2) == std::abs(n3)) {
              sum += real_to_complex(l1, m1, n1) * real_to_complex(l2, m2, n2) *
                     std::conj(real_to_complex(l3, m1 + m2, n3)) *
                     clebsch_gordan(l1, m1, l2, m2, l3);
            }
          }
        }
        w[static_cast<std::size_t>(((n1 + l1) * d2 + n2 + l2) * d3 + n3 + l3)] = sum.real();
        square += sum.real() * sum.real();
      }
    }
  }
  for (double& value : w) {
    value /= std::sqrt(square);
  }
  return w;
}

double gaunt_factor(std::int32_t l1, std::int32_t l2, std::int32_t l3) {
  if ((l1 + l2 + l3) % 2 != 0) {
    return 0.0;
  }
  return norm_of_degrees(l1, l2, l3) * std::abs(clebsch_gordan(l1, 0, l2, 0, l3)) /
         std::sqrt(2.0 * l3 + 1.0);
}

double curl_factor(std::int32_t l1, std::int32_t l2, std::int32_t l3) {
  if ((l1 + l2 + l3) % 2 == 0) {
    return 0.0;
  }
  const double gradients = std::sqrt(1.0 * l1 * (l1 + 1) * l2 * (l2 + 1));
  return norm_of_degrees(l1, l2, l3) * gradients * std::abs(clebsch_gordan(l1, 1, l2, -1, l3)) /
         std::sqrt(2.0 * l3 + 1.0);
}

} // namespace eqnn::so3
