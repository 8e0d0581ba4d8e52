// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernels/types.hpp"

namespace eqnn::kernels {

/// What the adjoint of an edge adds for its distance and its direction.
template <class Accum> struct EdgeSums {
  Accum distance = 0, first = 0, second = 0;

  KOKKOS_INLINE_FUNCTION EdgeSums& operator+=(const EdgeSums& other) {
    distance += other.distance;
    first += other.first;
    second += other.second;
    return *this;
  }
};

} // namespace eqnn::kernels

/// Zero, for sums over lanes.
template <class Accum> struct Kokkos::reduction_identity<eqnn::kernels::EdgeSums<Accum>> {
  KOKKOS_FORCEINLINE_FUNCTION static eqnn::kernels::EdgeSums<Accum> sum() { return {}; }
};
