// SPDX-License-Identifier: BSD-3-Clause
// The evaluator for each execution space that Kokkos was built with. Included by evaluator_*.cpp
// only.
#pragma once

#include "base/error.hpp"
#include "kernels/evaluator.hpp"
#include "kernels/make_evaluator.hpp"
#include "kernels/probe.hpp"

namespace eqnn::kernels {

/// What Made<Setting> makes of a plan, behind its interface.
template <template <class> class Made, class Interface, class Scalar, class Accum>
std::unique_ptr<Interface> make_on(const plan::Plan& plan, Space space) {
  switch (space) {
#ifdef KOKKOS_ENABLE_SERIAL
  case Space::Serial:
    return std::make_unique<Made<Setting<Kokkos::Serial, Scalar, Accum>>>(plan);
#endif
#ifdef KOKKOS_ENABLE_OPENMP
  case Space::OpenMP:
    return std::make_unique<Made<Setting<Kokkos::OpenMP, Scalar, Accum>>>(plan);
#endif
#ifdef KOKKOS_ENABLE_CUDA
  case Space::Cuda:
    return std::make_unique<Made<Setting<Kokkos::Cuda, Scalar, Accum>>>(plan);
#endif
  default:
    fail("execution space ", name_of(space), " is not in this build. Build Kokkos with it.");
  }
}

template <class Scalar, class Accum>
std::unique_ptr<AnyEvaluator> instantiate(const plan::Plan& plan, Space space) {
  return make_on<Evaluator, AnyEvaluator, Scalar, Accum>(plan, space);
}

template <class Scalar, class Accum>
std::unique_ptr<Probe> instantiate_probe(const plan::Plan& plan, Space space) {
  return make_on<ProbeOf, Probe, Scalar, Accum>(plan, space);
}

} // namespace eqnn::kernels
