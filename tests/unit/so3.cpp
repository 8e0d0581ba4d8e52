// SPDX-License-Identifier: BSD-3-Clause
#include "so3/spherical_harmonics.hpp"
#include "so3/wigner_d.hpp"
#include "support/compare.hpp"

#include <gtest/gtest.h>

namespace eqnn::test {
namespace {

constexpr int kMaxL = 10;

const std::vector<std::array<double, 3>>& directions() { // poles and axes of all kinds among them
  static const std::vector<std::array<double, 3>> list{{1.0, 0.0, 0.0},
                                                       {0.0, 1.0, 0.0},
                                                       {0.0, 0.0, 1.0},
                                                       {0.0, -2.0, 0.0},
                                                       {0.3, 1.0, -2.0},
                                                       {-1.1, 0.4, 0.9},
                                                       {1e-9, 3.0, 1e-9},
                                                       {5.0, 5.0, 5.0}};
  return list;
}

TEST(SphericalHarmonics, LowestOnesAreThoseOfE3nn) {
  const std::array<double, 3> r{0.3, -1.2, 0.7};
  const double n = std::sqrt(0.09 + 1.44 + 0.49);
  const double x = 0.3 / n;
  const double y = -1.2 / n;
  const double z = 0.7 / n;
  const std::vector<double> expected{1.0,
                                     std::sqrt(3.0) * x,
                                     std::sqrt(3.0) * y,
                                     std::sqrt(3.0) * z,
                                     std::sqrt(15.0) * x * z,
                                     std::sqrt(15.0) * x * y,
                                     std::sqrt(5.0) * (y * y - 0.5 * (x * x + z * z)),
                                     std::sqrt(15.0) * y * z,
                                     0.5 * std::sqrt(15.0) * (z * z - x * x)};
  EXPECT_LE(max_error(so3::spherical_harmonics(2, r).value, expected), 1e-14);
}

TEST(SphericalHarmonics, SquaresOfEachLSumTo2LPlus1) {
  for (const auto& r : directions()) {
    const auto y = so3::spherical_harmonics(kMaxL, r);
    for (int l = 0; l <= kMaxL; ++l) {
      double sum = 0.0;
      for (int lm = l * l; lm < (l + 1) * (l + 1); ++lm) {
        sum += y.value[static_cast<std::size_t>(lm)] * y.value[static_cast<std::size_t>(lm)];
      }
      EXPECT_LE(std::abs(sum - (2 * l + 1)), 1e-12 * (2 * l + 1));
    }
  }
}

TEST(SphericalHarmonics, GradientsAreDifferences) {
  constexpr double kStep = 1e-5;
  for (const auto& r : directions()) {
    const auto y = so3::spherical_harmonics(kMaxL, r);
    for (std::size_t a = 0; a < 3; ++a) {
      auto plus = r;
      auto minus = r;
      plus[a] += kStep;
      minus[a] -= kStep;
      const auto high = so3::spherical_harmonics(kMaxL, plus).value;
      const auto low = so3::spherical_harmonics(kMaxL, minus).value;
      for (std::size_t lm = 0; lm < high.size(); ++lm) {
        // truncation: step^2 l^3; rounding: eps/step
        EXPECT_LE(std::abs((high[lm] - low[lm]) / (2.0 * kStep) - y.gradient[lm][a]), 3e-6);
      }
    }
  }
}

TEST(WignerD, TurnsHarmonicsAlsoUnderInversion) {
  const double s = std::sqrt(0.5);
  const so3::Matrix3 rotation{0.6 * s, -s, 0.8 * s, 0.6 * s, s, 0.8 * s, -0.8, 0.0, 0.6};
  for (const double sign : {1.0, -1.0}) {
    so3::Matrix3 matrix = rotation;
    for (double& entry : matrix) {
      entry *= sign;
    }
    for (int l = 0; l <= 6; ++l) {
      const auto d = so3::wigner_d(l, matrix);
      const auto n = static_cast<std::size_t>(2 * l + 1);
      for (const auto& r : directions()) {
        std::array<double, 3> turned{};
        for (std::size_t i = 0; i < 3; ++i) {
          turned[i] = matrix[3 * i] * r[0] + matrix[3 * i + 1] * r[1] + matrix[3 * i + 2] * r[2];
        }
        const auto y = so3::spherical_harmonics(l, r).value;
        const auto y_turned = so3::spherical_harmonics(l, turned).value;
        for (std::size_t m = 0; m < n; ++m) {
          double sum = 0.0;
          for (std::size_t k = 0; k < n; ++k) {
            sum += d[m * n + k] * y[static_cast<std::size_t>(l * l) + k];
          }
          EXPECT_LE(std::abs(sum - y_turned[static_cast<std::size_t>(l * l) + m]), 1e-12);
        }
      }
    }
  }
}

} // namespace
} // namespace eqnn::test
