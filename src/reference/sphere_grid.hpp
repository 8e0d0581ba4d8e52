// SPDX-License-Identifier: BSD-3-Clause
// Functions on the sphere, f(u) = sum x_lm S_lm(u) with S = Y / sqrt(4 pi), on an exact quadrature
// grid. This defines their products. It is not a fast way to compute them.
#pragma once

#include "reference/edges.hpp"
#include "reference/value.hpp"
#include "so3/quadrature.hpp"
#include "so3/spherical_harmonics.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace eqnn::reference {

/// S_lm and their gradients on the unit sphere at the points of a quadrature rule.
struct Grid {
  so3::SphereRule rule;
  std::vector<so3::Harmonics> s;

  Grid(std::int32_t l_max, std::int32_t degree)
      : rule(so3::product_rule(degree)) {
    const double scale = 1.0 / std::sqrt(4.0 * std::acos(-1.0));
    for (const auto& point : rule.point) {
      s.push_back(so3::spherical_harmonics(l_max, point));
      for (double& value : s.back().value) {
        value *= scale;
      }
      for (auto& gradient : s.back().gradient) {
        for (double& component : gradient) {
          component *= scale;
        }
      }
    }
  }

  std::size_t size() const { return s.size(); }
};

/// f at point p for one row and channel. scale(k): factor of component k.
template <class Scale> double function_at(const Grid& grid,
                                          std::size_t p,
                                          const Value& x,
                                          std::int64_t row,
                                          std::int32_t c,
                                          const Scale& scale) {
  double f = 0.0;
  for (std::int32_t k = 0; k < x.components; ++k) {
    f += grid.s[p].value[at(k)] * x.at(row, k, c) * scale(k);
  }
  return f;
}

inline double no_scale(std::int32_t) { return 1.0; }

/// A grid for the product of functions with the degrees of a and b, projected to degrees up to
/// l_max.
inline Grid grid_of_product(std::int32_t l_max, const Value& a, const Value& b) {
  const std::int32_t l_a = degree_of(a.components - 1);
  const std::int32_t l_b = degree_of(b.components - 1);
  return {std::max({l_a, l_b, l_max}), l_a + l_b + l_max};
}

} // namespace eqnn::reference
