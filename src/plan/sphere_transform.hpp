// SPDX-License-Identifier: BSD-3-Clause
// Functions on the sphere by their values at points. docs/spec/gaunt.md
#pragma once

#include "plan/tables.hpp"

#include <cstdint>
#include <vector>

namespace eqnn::plan {

/// Components of a function on the sphere <-> its values at points, of which the transposed map is
/// the projection where weights are in. Dense: values = matrix x. Separable (rings of points): for
/// each order m, series[ring, m] = sum over l of polar[m][ring, l] x_lm; then along each ring values =
/// azimuthal series. docs/spec/gaunt.md
struct SphereTransform {
  std::int32_t n_components = 0;
  std::int32_t n_points = 0;
  std::vector<double> matrix; ///< dense: [points, components]
  std::int32_t n_rings = 0;   ///< separable; 0: dense
  /// One after another for m = -l_max .. l_max: [rings, l_max - |m| + 1]
  std::vector<double> polar;
  std::vector<double> azimuthal; ///< [points of a ring, 2 l_max + 1]
  /// Position in the transform's own order (by m, then l) -> component; the identity where dense.
  std::vector<std::int32_t> order;
};

/// What a transform gives at a point: the function, or its slope along one of two orthogonal
/// tangents t1, t2 with t1 x t2 = u: along the ring, and towards lower polar angles.
enum class Quantity { Value, AlongRing, AcrossRings };

/// A transform for products of functions whose degrees add up to `band`, projected up to l_out.
/// `weighted`: its transpose is the projection.
SphereTransform transform_of(SphereMethod method,
                             std::int32_t l_max,
                             std::int32_t band,
                             std::int32_t l_out,
                             bool weighted,
                             Quantity quantity = Quantity::Value);

/// FLOPs per channel.
double flops(const SphereTransform& transform);

/// Fraction of the machine's peak that transforms were measured to reach (docs/performance.md).
double rate_of(SphereMethod method);

} // namespace eqnn::plan
