// SPDX-License-Identifier: BSD-3-Clause
// Defines the real spherical harmonics, for any l, in double precision. See
// docs/spec/conventions.md.
#pragma once

#include "base/irreps.hpp"

#include <array>
#include <cstdint>
#include <vector>

namespace eqnn::so3 {

struct Harmonics {
  std::vector<double> value;                   ///< [(l_max+1)^2], component l^2 + l + m
  std::vector<std::array<double, 3>> gradient; ///< [(l_max+1)^2] d value / d vector, 1/Angstrom
};

/// Component-normalized (sum over m of Y_lm^2 = 2l+1), with e3nn's axes: the polar axis is y, so
/// (Y_1,-1, Y_10, Y_11) = sqrt(3) (x, y, z)/r. No Condon-Shortley phase. The vector is normalized
/// inside; its length must be above 0.
Harmonics spherical_harmonics(std::int32_t l_max, const std::array<double, 3>& vector);

} // namespace eqnn::so3
