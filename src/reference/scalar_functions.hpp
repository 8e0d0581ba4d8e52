// SPDX-License-Identifier: BSD-3-Clause
// Activations and envelopes with their derivatives.
#pragma once

#include "model/model_spec.hpp"

#include <algorithm>
#include <cmath>

namespace eqnn::reference {

inline double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

inline double silu(double x) { return x * sigmoid(x); }

inline double silu_derivative(double x) {
  const double s = sigmoid(x);
  return s * (1.0 + x * (1.0 - s));
}

/// log(1 + e^x)
inline double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }

inline double activate(Activation kind, double x) {
  switch (kind) {
  case Activation::Silu:
    return silu(x);
  case Activation::Tanh:
    return std::tanh(x);
  case Activation::Sigmoid:
    return sigmoid(x);
  case Activation::Abs:
    return std::abs(x);
  case Activation::Gelu:
    return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
  case Activation::Mish:
    return x * std::tanh(softplus(x));
  case Activation::ShiftedSoftplus:
    return softplus(x) - std::log(2.0);
  case Activation::TanhSquare:
    return std::tanh(x * x);
  case Activation::None:
    break;
  }
  return x;
}

inline double activation_derivative(Activation kind, double x) {
  switch (kind) {
  case Activation::Silu:
    return silu_derivative(x);
  case Activation::Tanh:
    return 1.0 - std::tanh(x) * std::tanh(x);
  case Activation::Sigmoid:
    return sigmoid(x) * (1.0 - sigmoid(x));
  case Activation::Abs:
    return x > 0.0 ? 1.0 : (x < 0.0 ? -1.0 : 0.0);
  case Activation::Gelu:
    return 0.5 * std::erfc(-x / std::sqrt(2.0)) +
           x * std::exp(-0.5 * x * x) / std::sqrt(2.0 * std::acos(-1.0));
  case Activation::Mish: {
    const double t = std::tanh(softplus(x));
    return t + x * sigmoid(x) * (1.0 - t * t);
  }
  case Activation::ShiftedSoftplus:
    return sigmoid(x);
  case Activation::TanhSquare:
    return 2.0 * x * (1.0 - std::tanh(x * x) * std::tanh(x * x));
  case Activation::None:
    break;
  }
  return 1.0;
}

struct ValueAndSlope {
  double value = 0.0, slope = 0.0;
};

/// DimeNet's polynomial envelope (Gasteiger et al. 2020, eq. 8 without its 1/d) as a function of x
/// = r/cutoff. It is 1 at x = 0; value, slope and curvature are 0 at x = 1. The slope is d/dx.
inline ValueAndSlope polynomial_envelope(double p, double x) {
  return {1.0 - 0.5 * (p + 1.0) * (p + 2.0) * std::pow(x, p) +
              p * (p + 2.0) * std::pow(x, p + 1.0) - 0.5 * p * (p + 1.0) * std::pow(x, p + 2.0),
          -0.5 * p * (p + 1.0) * (p + 2.0) * std::pow(x, p - 1.0) * (1.0 - x) * (1.0 - x)};
}

/// The envelope at distance r. The slope is d/dr.
inline ValueAndSlope envelope(const Envelope& kind, double cutoff, double r) {
  if (kind.kind == EnvelopeKind::Polynomial) {
    const ValueAndSlope u = polynomial_envelope(kind.p, r / cutoff);
    return {u.value, u.slope / cutoff};
  }
  if (kind.kind == EnvelopeKind::Xplor && r > kind.start) {
    const double c2 = cutoff * cutoff;
    const double a2 = kind.start * kind.start;
    const double r2 = r * r;
    const double cube = (c2 - a2) * (c2 - a2) * (c2 - a2);
    return {(c2 - r2) * (c2 - r2) * (c2 + 2.0 * r2 - 3.0 * a2) / cube,
            12.0 * r * (c2 - r2) * (a2 - r2) / cube};
  }
  return {1.0, 0.0};
}

} // namespace eqnn::reference
