// SPDX-License-Identifier: BSD-3-Clause
#include "so3/coupling.hpp"
#include "so3/quadrature.hpp"
#include "so3/spherical_harmonics.hpp"
#include "so3/wigner_d.hpp"
#include "support/compare.hpp"

#include <gtest/gtest.h>

namespace eqnn::test {
namespace {

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
    const auto y = so3::spherical_harmonics(kMaxDegree, r);
    for (int l = 0; l <= kMaxDegree; ++l) {
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
    const auto y = so3::spherical_harmonics(kMaxDegree, r);
    for (std::size_t a = 0; a < 3; ++a) {
      auto plus = r;
      auto minus = r;
      plus[a] += kStep;
      minus[a] -= kStep;
      const auto high = so3::spherical_harmonics(kMaxDegree, plus).value;
      const auto low = so3::spherical_harmonics(kMaxDegree, minus).value;
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

// ---- invariant tensors ----

/// All entries of an integral over three harmonics, [i, j, k] with the degrees' blocks, by
/// quadrature: of their product, and of S_k u . (grad S_i x grad S_j).
struct Integrals {
  std::size_t d;
  std::vector<double> product, curl;

  explicit Integrals(int l_max)
      : d(static_cast<std::size_t>(sphere_components(l_max)))
      , product(d * d * d)
      , curl(d * d * d) {
    const double scale = std::pow(4.0 * std::acos(-1.0), -1.5);
    const auto rule = so3::product_rule(3 * l_max);
    for (std::size_t p = 0; p < rule.point.size(); ++p) {
      const auto s = so3::spherical_harmonics(l_max, rule.point[p]);
      const auto& u = rule.point[p];
      for (std::size_t i = 0; i < d; ++i) {
        for (std::size_t j = 0; j < d; ++j) {
          const auto& a = s.gradient[i];
          const auto& b = s.gradient[j];
          const double turn = u[0] * (a[1] * b[2] - a[2] * b[1]) +
                              u[1] * (a[2] * b[0] - a[0] * b[2]) +
                              u[2] * (a[0] * b[1] - a[1] * b[0]);
          for (std::size_t k = 0; k < d; ++k) {
            const double weight = scale * rule.weight[p] * s.value[k];
            product[(i * d + j) * d + k] += weight * s.value[i] * s.value[j];
            curl[(i * d + j) * d + k] += weight * turn;
          }
        }
      }
    }
  }
};

TEST(Coupling, Wigner3jTimesItsFactorsAreIntegralsOverTheSphere) {
  constexpr int kTop = 5;
  const Integrals expected(kTop);
  std::vector<double> product(expected.product.size());
  std::vector<double> curl(expected.curl.size());
  for (int l1 = 0; l1 <= kTop; ++l1) {
    for (int l2 = 0; l2 <= kTop; ++l2) {
      for (int l3 = std::abs(l1 - l2); l3 <= std::min(kTop, l1 + l2); ++l3) {
        const auto w = so3::wigner_3j(l1, l2, l3);
        std::size_t at = 0;
        for (int i = l1 * l1; i < (l1 + 1) * (l1 + 1); ++i) {
          for (int j = l2 * l2; j < (l2 + 1) * (l2 + 1); ++j) {
            for (int k = l3 * l3; k < (l3 + 1) * (l3 + 1); ++k, ++at) {
              const auto entry =
                  (static_cast<std::size_t>(i) * expected.d + static_cast<std::size_t>(j)) *
                      expected.d +
                  static_cast<std::size_t>(k);
              product[entry] = so3::gaunt_factor(l1, l2, l3) * w[at];
              curl[entry] = so3::curl_factor(l1, l2, l3) * w[at];
            }
          }
        }
      }
    }
  }
  EXPECT_LE(max_error(product, expected.product), 1e-14);
  EXPECT_LE(max_error(curl, expected.curl), 1e-13);
}

TEST(Coupling, HighDegreesKeepNormAndInvariance) {
  for (const auto& [l1, l2, l3] :
       std::vector<std::array<int, 3>>{{10, 10, 10}, {10, 9, 8}, {10, 10, 1}, {7, 10, 3}}) {
    const auto w = so3::wigner_3j(l1, l2, l3);
    double square = 0.0;
    for (const double value : w) {
      square += value * value;
    }
    EXPECT_LE(std::abs(square - 1.0), 1e-13);
    const double c = std::cos(0.7);
    const double s = std::sin(0.7);
    const so3::Matrix3 rotation{0, 0, 1, c, -s, 0, s, c, 0};
    const auto turn =
        [&](int l, const std::vector<double>& x, std::size_t outer, std::size_t inner) {
          const auto d = so3::wigner_d(l, rotation);
          const auto n = static_cast<std::size_t>(2 * l + 1);
          std::vector<double> y(x.size(), 0.0);
          for (std::size_t o = 0; o < outer; ++o) {
            for (std::size_t m = 0; m < n; ++m) {
              for (std::size_t k = 0; k < n; ++k) {
                for (std::size_t i = 0; i < inner; ++i) {
                  y[(o * n + m) * inner + i] += d[m * n + k] * x[(o * n + k) * inner + i];
                }
              }
            }
          }
          return y;
        };
    const auto n1 = static_cast<std::size_t>(2 * l1 + 1);
    const auto n2 = static_cast<std::size_t>(2 * l2 + 1);
    const auto n3 = static_cast<std::size_t>(2 * l3 + 1);
    const auto turned = turn(l3, turn(l2, turn(l1, w, 1, n2 * n3), n1, n3), n1 * n2, 1);
    EXPECT_LE(max_error(turned, w), 1e-13);
  }
}

TEST(Quadrature, RulesAreExactToTheirDegreeAndNoFurther) {
  for (const int degree : {0, 1, 4, 7, 12}) {
    const auto rule = so3::product_rule(degree);
    double worst = 0.0;
    double beyond = 0.0;
    std::vector<double> sums(static_cast<std::size_t>(sphere_components(degree + 2)), 0.0);
    for (std::size_t p = 0; p < rule.point.size(); ++p) {
      EXPECT_GT(rule.weight[p], 0.0);
      const auto y = so3::spherical_harmonics(degree + 2, rule.point[p]).value;
      for (std::size_t k = 0; k < y.size(); ++k) {
        sums[k] += rule.weight[p] * y[k];
      }
    }
    const auto inside = static_cast<std::size_t>(sphere_components(degree));
    for (std::size_t k = 0; k < sums.size(); ++k) {
      const double error = std::abs(sums[k] - (k == 0 ? 4.0 * std::acos(-1.0) : 0.0));
      (k < inside ? worst : beyond) = std::max(k < inside ? worst : beyond, error);
    }
    EXPECT_LE(worst, 1e-13);
    EXPECT_GE(beyond, 1e-3);
  }
}

} // namespace
} // namespace eqnn::test
