// SPDX-License-Identifier: BSD-3-Clause
// The evaluator for each execution space that Kokkos was built with. Included only by
// evaluator_*.cpp.
#pragma once

#include "base/error.hpp"
#include "kernels/evaluator.hpp"
#include "kernels/make_evaluator.hpp"
#include "kernels/probe.hpp"

#include <utility>

namespace eqnn::kernels {

/// A Made<Setting> for the plan, behind its interface.
template <template <class> class Made, class Interface, class Scalar, class Accum>
std::unique_ptr<Interface> make_on(plan::Plan plan, Space space) {
  switch (space) {
#ifdef KOKKOS_ENABLE_SERIAL
  case Space::Serial:
    return std::make_unique<Made<Setting<Kokkos::Serial, Scalar, Accum>>>(std::move(plan));
#endif
#ifdef KOKKOS_ENABLE_OPENMP
  case Space::OpenMP:
    return std::make_unique<Made<Setting<Kokkos::OpenMP, Scalar, Accum>>>(std::move(plan));
#endif
#ifdef KOKKOS_ENABLE_CUDA
  case Space::Cuda:
    return std::make_unique<Made<Setting<Kokkos::Cuda, Scalar, Accum>>>(std::move(plan));
#endif
  default:
    fail("execution space ", name_of(space), " is not in this build. Build Kokkos with it.");
  }
}

template <class Scalar, class Accum>
std::unique_ptr<AnyEvaluator> instantiate(plan::Plan plan, Space space) {
  return make_on<Evaluator, AnyEvaluator, Scalar, Accum>(std::move(plan), space);
}

template <class Scalar, class Accum>
std::unique_ptr<Probe> instantiate_probe(plan::Plan plan, Space space) {
  return make_on<ProbeOf, Probe, Scalar, Accum>(std::move(plan), space);
}

} // namespace eqnn::kernels
