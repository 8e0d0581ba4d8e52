// SPDX-License-Identifier: BSD-3-Clause
// Small square matrices, for a cell and its deformation.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

namespace eqnn::engine {

/// [N, N] row-major
template <std::size_t N> using Square = std::array<double, N * N>;
using Matrix3 = Square<3>;

template <std::size_t N> Square<N> identity() {
  Square<N> out{};
  for (std::size_t i = 0; i < N; ++i) {
    out[N * i + i] = 1.0;
  }
  return out;
}

template <std::size_t N> Square<N> product(const Square<N>& a, const Square<N>& b) {
  Square<N> out{};
  for (std::size_t i = 0; i < N; ++i) {
    for (std::size_t k = 0; k < N; ++k) {
      for (std::size_t j = 0; j < N; ++j) {
        out[N * i + j] += a[N * i + k] * b[N * k + j];
      }
    }
  }
  return out;
}

inline Matrix3 transposed(const Matrix3& a) {
  return {a[0], a[3], a[6], a[1], a[4], a[7], a[2], a[5], a[8]};
}

inline double determinant(const Matrix3& a) {
  return a[0] * (a[4] * a[8] - a[5] * a[7]) - a[1] * (a[3] * a[8] - a[5] * a[6]) +
         a[2] * (a[3] * a[7] - a[4] * a[6]);
}

inline Matrix3 inverse(const Matrix3& a) {
  const double d = determinant(a);
  return {(a[4] * a[8] - a[5] * a[7]) / d,
          (a[2] * a[7] - a[1] * a[8]) / d,
          (a[1] * a[5] - a[2] * a[4]) / d,
          (a[5] * a[6] - a[3] * a[8]) / d,
          (a[0] * a[8] - a[2] * a[6]) / d,
          (a[2] * a[3] - a[0] * a[5]) / d,
          (a[3] * a[7] - a[4] * a[6]) / d,
          (a[1] * a[6] - a[0] * a[7]) / d,
          (a[0] * a[4] - a[1] * a[3]) / d};
}

/// exp(a): the Taylor series of a / 2^k, which is below 1/4, squared k times. NaN gives NaN.
template <std::size_t N> Square<N> exponential(const Square<N>& a) {
  double norm = 0.0;
  for (const double x : a) {
    norm = std::max(norm, std::abs(x));
  }
  int k = 0;
  for (double size = N * norm; size > 0.25 && k < 64; size /= 2) {
    ++k;
  }
  Square<N> scaled = a;
  for (double& x : scaled) {
    x = std::ldexp(x, -k);
  }
  Square<N> sum = identity<N>();
  for (int n = 14; n > 0; --n) { // Horner's scheme; 0.25^15 / 15! is 1e-21
    sum = product<N>(scaled, sum);
    for (double& x : sum) {
      x /= n;
    }
    for (std::size_t i = 0; i < N; ++i) {
      sum[N * i + i] += 1.0;
    }
  }
  for (; k > 0; --k) {
    sum = product<N>(sum, sum);
  }
  return sum;
}

/// d exp(a + t direction) / dt at t = 0: the upper right block of exp([[a, direction], [0, a]]).
inline Matrix3 exponential_derivative(const Matrix3& a, const Matrix3& direction) {
  Square<6> blocks{};
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t j = 0; j < 3; ++j) {
      blocks[6 * i + j] = blocks[6 * (i + 3) + j + 3] = a[3 * i + j];
      blocks[6 * i + j + 3] = direction[3 * i + j];
    }
  }
  const Square<6> of_blocks = exponential<6>(blocks);
  Matrix3 out{};
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t j = 0; j < 3; ++j) {
      out[3 * i + j] = of_blocks[6 * i + j + 3];
    }
  }
  return out;
}

} // namespace eqnn::engine
