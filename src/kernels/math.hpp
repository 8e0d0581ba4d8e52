// SPDX-License-Identifier: BSD-3-Clause
// exp without branches or calls, so that loops over channels vectorize, and the activations built
// on it.
#pragma once

#include "plan/tables.hpp"

#include <Kokkos_Core.hpp>

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace eqnn::kernels {

namespace host {

/// exp(x) = 2^n exp(r), n = round(x / ln 2), |r| <= ln(2)/2. exp(r) is its Taylor series to degree
/// 13: 2 ulp. Saturates at exp(-708), exp(709). Adding 1.5 * 2^52 leaves n in the low bits of the
/// mantissa. This avoids a conversion to integer, which AVX2 lacks for 64 bits. Always inlined: a
/// loop with a call in it does not vectorize, and compilers stop inlining once a function has
/// grown.
[[gnu::always_inline]] inline double exponential(double x) {
  constexpr double kShift = 6755399441055744.0;
  x = x < -708.0 ? -708.0 : x;
  x = x > 709.0 ? 709.0 : x;
  const double shifted = x * 1.4426950408889634074 + kShift;
  const double n = shifted - kShift;
  double r = x - n * 6.93147180369123816490e-01;
  r -= n * 1.90821492927058770002e-10;
  double p = 1.6059043836821614599e-10;
  p = p * r + 2.0876756987868098979e-09;
  p = p * r + 2.5052108385441718775e-08;
  p = p * r + 2.7557319223985890653e-07;
  p = p * r + 2.7557319223985892511e-06;
  p = p * r + 2.4801587301587301566e-05;
  p = p * r + 1.9841269841269841253e-04;
  p = p * r + 1.3888888888888889419e-03;
  p = p * r + 8.3333333333333332177e-03;
  p = p * r + 4.1666666666666664354e-02;
  p = p * r + 1.6666666666666665741e-01;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  std::uint64_t bits = 0;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits + 1023U) << 52U;
  double scale = 0.0;
  std::memcpy(&scale, &bits, sizeof scale);
  return p * scale;
}

/// The same in float: degree 7, saturates at exp(-87), exp(88).
[[gnu::always_inline]] inline float exponential(float x) {
  constexpr float kShift = 12582912.0F;
  x = x < -87.0F ? -87.0F : x;
  x = x > 88.0F ? 88.0F : x;
  const float shifted = x * 1.44269504F + kShift;
  const float n = shifted - kShift;
  float r = x - n * 6.93359375e-01F;
  r -= n * -2.12194440e-04F;
  float p = 1.98412698e-04F;
  p = p * r + 1.38888889e-03F;
  p = p * r + 8.33333333e-03F;
  p = p * r + 4.16666667e-02F;
  p = p * r + 1.66666667e-01F;
  p = p * r + 0.5F;
  p = p * r + 1.0F;
  p = p * r + 1.0F;
  std::uint32_t bits = 0;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits + 127U) << 23U;
  float scale = 0.0F;
  std::memcpy(&scale, &bits, sizeof scale);
  return p * scale;
}

} // namespace host

template <class T> KOKKOS_FORCEINLINE_FUNCTION T exponential(T x) {
  EQNN_IF_ON_HOST((return host::exponential(x);))
  EQNN_IF_ON_DEVICE((return Kokkos::exp(x);))
}

template <class T> KOKKOS_FORCEINLINE_FUNCTION T sigmoid(T x) {
  return T(1) / (T(1) + exponential(-x));
}

/// Derivative of silu(x) = x s, given s = sigmoid(x).
template <class T> KOKKOS_FORCEINLINE_FUNCTION T silu_derivative(T x, T s) {
  return s * (T(1) + x * (T(1) - s));
}

/// Smooth leaky ReLU of negative slope a, given s = sigmoid(x):
/// (1+a)/2 x + (1-a)/2 x (2s - 1).
template <class T> KOKKOS_FORCEINLINE_FUNCTION T smooth_leaky_relu(T a, T x, T s) {
  return T(0.5) * x * ((T(1) + a) + (T(1) - a) * (T(2) * s - T(1)));
}

template <class T> KOKKOS_FORCEINLINE_FUNCTION T smooth_leaky_relu_derivative(T a, T x, T s) {
  return T(0.5) * ((T(1) + a) + (T(1) - a) * ((T(2) * s - T(1)) + T(2) * x * s * (T(1) - s)));
}

/// An activation and its derivative.
template <class T> struct Activation {
  T value, slope;
};

/// The activation plan::kSilu, ... at x. Chosen at compile time, since a choice inside a loop over
/// channels keeps it from vectorizing.
template <std::int32_t Function, class T>
KOKKOS_FORCEINLINE_FUNCTION Activation<T> activation_at(T x) {
  if constexpr (Function == plan::kSilu) {
    const T s = sigmoid(x);
    return {x * s, silu_derivative(x, s)};
  } else if constexpr (Function == plan::kTanh) {
    const T s = sigmoid(T(2) * x);
    return {T(2) * s - T(1), T(4) * s * (T(1) - s)};
  } else if constexpr (Function == plan::kSigmoid) {
    const T s = sigmoid(x);
    return {s, s * (T(1) - s)};
  } else if constexpr (Function == plan::kAbs) {
    return {x < T(0) ? -x : x, x > T(0) ? T(1) : (x < T(0) ? T(-1) : T(0))};
  } else if constexpr (Function == plan::kGelu) {
    const T below = T(0.5) * (T(1) + Kokkos::erf(x * T(0.70710678118654752440)));
    return {x * below, below + x * T(0.39894228040143267794) * exponential(T(-0.5) * x * x)};
  } else if constexpr (Function == plan::kMish) {
    // tanh(log(1 + e^x)) in terms of e^-|x|, which does not overflow.
    const T q = exponential(x < T(0) ? x : -x);
    const T n = x < T(0) ? q * (q + T(2)) : T(1) + T(2) * q;
    const T t = n / (n + (x < T(0) ? T(2) : T(2) * q * q));
    return {x * t, t + x * sigmoid(x) * (T(1) - t * t)};
  } else if constexpr (Function == plan::kShiftedSoftplus) {
    const T q = exponential(x < T(0) ? x : -x);
    const T above = x > T(0) ? x : T(0);
    return {above + Kokkos::log1p(q) - T(0.69314718055994530942), sigmoid(x)};
  } else {
    return {x, T(1)};
  }
}

/// Calls body(std::integral_constant<std::int32_t, function>).
template <class Body>
KOKKOS_FORCEINLINE_FUNCTION void for_function(std::int32_t function, const Body& body) {
  switch (function) {
  case plan::kSilu:
    return body(std::integral_constant<std::int32_t, plan::kSilu>{});
  case plan::kTanh:
    return body(std::integral_constant<std::int32_t, plan::kTanh>{});
  case plan::kSigmoid:
    return body(std::integral_constant<std::int32_t, plan::kSigmoid>{});
  case plan::kAbs:
    return body(std::integral_constant<std::int32_t, plan::kAbs>{});
  case plan::kGelu:
    return body(std::integral_constant<std::int32_t, plan::kGelu>{});
  case plan::kMish:
    return body(std::integral_constant<std::int32_t, plan::kMish>{});
  case plan::kShiftedSoftplus:
    return body(std::integral_constant<std::int32_t, plan::kShiftedSoftplus>{});
  default:
    return body(std::integral_constant<std::int32_t, plan::kIdentity>{});
  }
}

} // namespace eqnn::kernels
