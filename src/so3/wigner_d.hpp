// SPDX-License-Identifier: BSD-3-Clause
// Representation matrices of O(3) on real spherical harmonics. Used for convolutions in the frame
// of an edge, and for tests of equivariance.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace eqnn::so3 {

/// Row-major 3x3 matrix.
using Matrix3 = std::array<double, 9>;

/// D^l(R) [2l+1, 2l+1], row-major, with Y_l(R r) = D^l(R) Y_l(r) in the convention of
/// spherical_harmonics(), for any orthogonal R: an inversion gives (-1)^l. Computed by quadrature
/// over directions, so it needs no Euler angles and avoids their singularities.
std::vector<double> wigner_d(std::int32_t l, const Matrix3& rotation);

} // namespace eqnn::so3
