// SPDX-License-Identifier: BSD-3-Clause
// The evaluator for each execution space that Kokkos was built with. Included by evaluator_*.cpp
// only.
#pragma once

#include "base/error.hpp"
#include "kernels/evaluator.hpp"
#include "kernels/make_evaluator.hpp"

namespace eqnn::kernels {

template <class Scalar, class Accum>
std::unique_ptr<AnyEvaluator> instantiate(const plan::Plan& plan, Space space) {
  switch (space) {
#ifdef KOKKOS_ENABLE_SERIAL
  case Space::Serial:
    return std::make_unique<Evaluator<Setting<Kokkos::Serial, Scalar, Accum>>>(plan);
#endif
#ifdef KOKKOS_ENABLE_OPENMP
  case Space::OpenMP:
    return std::make_unique<Evaluator<Setting<Kokkos::OpenMP, Scalar, Accum>>>(plan);
#endif
#ifdef KOKKOS_ENABLE_CUDA
  case Space::Cuda:
    return std::make_unique<Evaluator<Setting<Kokkos::Cuda, Scalar, Accum>>>(plan);
#endif
  default:
    fail("execution space ", name_of(space), " is not in this build. Build Kokkos with it.");
  }
}

} // namespace eqnn::kernels
