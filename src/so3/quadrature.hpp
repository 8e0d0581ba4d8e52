// SPDX-License-Identifier: BSD-3-Clause
// Quadrature over the sphere.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace eqnn::so3 {

struct SphereRule {
  std::vector<std::array<double, 3>> point; ///< unit vectors
  std::vector<double> weight;               ///< positive; sum 4 pi
};

/// A rule that is exact for polynomials up to this degree: Gauss-Legendre in the cosine of the
/// polar angle (ceil((degree+1)/2) nodes) times degree+1 equidistant azimuths. The polar axis is y,
/// as in e3nn. No point lies on it.
SphereRule product_rule(std::int32_t degree);

/// Nodes in (-1, 1) and weights (sum 2) of the Gauss-Legendre rule of n points.
struct LegendreRule {
  std::vector<double> node, weight;
};

LegendreRule gauss_legendre(std::int32_t n);

} // namespace eqnn::so3
