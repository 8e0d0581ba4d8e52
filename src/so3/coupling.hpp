// SPDX-License-Identifier: BSD-3-Clause
// Invariant tensors of three degrees: Wigner 3j symbols in the real basis, and the factors that
// turn them into integrals over the sphere. See docs/spec/conventions.md and docs/spec/gaunt.md.
#pragma once

#include <cstdint>
#include <vector>

namespace eqnn::so3 {

/// w[m1, m2, m3] with e3nn's real basis and sign, and Frobenius norm 1. [2l1+1, 2l2+1, 2l3+1],
/// row-major. @pre the triangle rule holds
std::vector<double> wigner_3j(std::int32_t l1, std::int32_t l2, std::int32_t l3);

/// The factor c in: integral of S_l1 S_l2 S_l3 over the sphere = c w3j, with orthonormal S. It is 0
/// if l1 + l2 + l3 is odd, otherwise
/// c = sqrt((2l1+1)(2l2+1)(2l3+1)/(4 pi)) |3j(l1 l2 l3; 0 0 0)| >= 0.
double gaunt_factor(std::int32_t l1, std::int32_t l2, std::int32_t l3);

/// The factor c in: integral of S_l3 u . (grad S_l1 x grad S_l2) over the sphere = c w3j, with the
/// unit vector u. It is 0 if l1 + l2 + l3 is even, otherwise
/// c = sqrt((2l1+1)(2l2+1)(2l3+1) l1(l1+1) l2(l2+1)/(4 pi)) |3j(l1 l2 l3; 1 -1 0)| >= 0.
double curl_factor(std::int32_t l1, std::int32_t l2, std::int32_t l3);

} // namespace eqnn::so3
