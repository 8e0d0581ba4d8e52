// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/weights.hpp"
#include "plan/tables.hpp"

namespace eqnn::plan {

/// The constant (kIdentity ...) of an activation function on nodes.
inline std::int32_t function_of(Activation activation) {
  switch (activation) {
  case Activation::Silu:
    return kSilu;
  case Activation::Tanh:
    return kTanh;
  case Activation::Sigmoid:
    return kSigmoid;
  case Activation::Abs:
    return kAbs;
  case Activation::Gelu:
    return kGelu;
  case Activation::Mish:
    return kMish;
  case Activation::ShiftedSoftplus:
    return kShiftedSoftplus;
  case Activation::TanhSquare: // only in radial functions
  case Activation::None:
    break;
  }
  return kIdentity;
}

} // namespace eqnn::plan
