// SPDX-License-Identifier: BSD-3-Clause
// Represents functions on the sphere by their values at points. See docs/spec/gaunt.md.
#pragma once

#include "plan/tables.hpp"

#include <cstdint>
#include <vector>

namespace eqnn::plan {

/// Maps components of a function on the sphere to its values at points. If quadrature weights are
/// included, the transpose is the projection. Dense: values = matrix x. Separable (rings of
/// points): for each order m, series[ring, m] = sum over l of polar[m][ring, l] x_lm; then along
/// each ring, values = azimuthal series. See docs/spec/gaunt.md.
struct SphereTransform {
  std::int32_t n_components = 0;
  std::int32_t n_points = 0;
  std::vector<double> matrix; ///< dense: [points, components]
  std::int32_t n_rings = 0;   ///< number of rings; 0 if dense
  /// Matrices for m = -l_max .. l_max, one after another: [rings, l_max - |m| + 1]
  std::vector<double> polar;
  std::vector<double> azimuthal; ///< [points in a ring, 2 l_max + 1]
  /// Position in the transform's own order (by m, then l) -> component. The identity if dense.
  std::vector<std::int32_t> order;
};

/// The quantity at a point: the function, or its slope along one of two orthogonal tangents t1, t2
/// with t1 x t2 = u. t1 points along the ring, t2 toward lower polar angles.
enum class Quantity { Value, AlongRing, AcrossRings };

/// A transform for products of functions whose degrees add up to `band`, projected to degrees up to
/// l_out. `weighted`: includes quadrature weights, so that the transpose is the projection.
SphereTransform transform_of(SphereMethod method,
                             std::int32_t l_max,
                             std::int32_t band,
                             std::int32_t l_out,
                             bool weighted,
                             Quantity quantity = Quantity::Value);

/// FLOPs per channel.
double flops(const SphereTransform& transform);

/// Fraction of the machine's peak that transforms reached in measurements (docs/performance.md).
double rate_of(SphereMethod method);

} // namespace eqnn::plan
