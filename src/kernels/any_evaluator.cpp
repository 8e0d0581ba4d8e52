// SPDX-License-Identifier: BSD-3-Clause
#include "kernels/any_evaluator.hpp"

#include "base/error.hpp"
#include "kernels/make_evaluator.hpp"
#include "kernels/plan_options.hpp"

#include <Kokkos_Core.hpp>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

namespace eqnn::kernels {

std::vector<Space> available_spaces() {
  std::vector<Space> spaces;
#ifdef KOKKOS_ENABLE_CUDA
  spaces.push_back(Space::Cuda);
#endif
#ifdef KOKKOS_ENABLE_OPENMP
  spaces.push_back(Space::OpenMP);
#endif
#ifdef KOKKOS_ENABLE_SERIAL
  spaces.push_back(Space::Serial);
#endif
  return spaces;
}

std::string_view name_of(Space space) {
  constexpr std::array<std::string_view, 3> kNames{"Serial", "OpenMP", "Cuda"};
  return kNames[static_cast<std::size_t>(space)];
}

Space space_on(Device device) {
  for (const Space space : available_spaces()) {
    if (device == Device::Auto || (device == Device::Gpu) == (space == Space::Cuda)) {
      return space;
    }
  }
  fail("this build of eqnn has no kernels for ",
       device == Device::Gpu ? "a GPU" : "the processor",
       ". Use device auto, or another build: docs/gpu.md says how.");
}

namespace {

/// Whether this space runs the kernels' device code.
constexpr bool is_device([[maybe_unused]] Space space) {
#ifdef EQNN_DEVICE_BRANCH
  return true;
#else
  return space == Space::Cuda;
#endif
}

} // namespace

plan::Options plan_options(Precision precision, Space space) {
  plan::Options options;
  if (precision == Precision::Double) {
    options.channel_multiple = kLanes<double>;
    options.table_rate = 0.12; // docs/performance.md
  } else {
    options.channel_multiple = kLanes<float>;
    options.scalar_bytes = sizeof(float);
    options.radial_tolerance = is_device(space) ? kDeviceRadialTolerance : kRadialTolerance;
    options.radial_degree = is_device(space) ? kDeviceRadialDegree : kRadialDegree;
  }
  return options;
}

std::unique_ptr<AnyEvaluator> make_evaluator(plan::Plan plan, Precision precision, Space space) {
  switch (precision) {
  case Precision::Double:
    return make_double_evaluator(std::move(plan), space);
  case Precision::Mixed:
    return make_mixed_evaluator(std::move(plan), space);
  case Precision::Single:
    return make_single_evaluator(std::move(plan), space);
  }
  fail("unknown precision");
}

std::unique_ptr<Probe> make_probe(plan::Plan plan, Precision precision, Space space) {
  switch (precision) {
  case Precision::Double:
    return make_double_probe(std::move(plan), space);
  case Precision::Mixed:
    return make_mixed_probe(std::move(plan), space);
  case Precision::Single:
    return make_single_probe(std::move(plan), space);
  }
  fail("unknown precision");
}

void start_kokkos(int n_threads, [[maybe_unused]] int gpu_number) {
  if (Kokkos::is_initialized()) {
    return;
  }
  if (n_threads <= 0) {
    const char* const variable = std::getenv("OMP_NUM_THREADS");
    n_threads = variable == nullptr ? 1 : std::max(1, std::atoi(variable));
  }
  auto settings =
      Kokkos::InitializationSettings().set_num_threads(n_threads).set_disable_warnings(true);
#ifdef KOKKOS_ENABLE_CUDA
  int n_gpus = 0; // Kokkos::num_devices() ends the process if the driver is missing
  if (cudaGetDeviceCount(&n_gpus) != cudaSuccess || n_gpus == 0) {
    fail("found no GPU, but this build of eqnn needs one.\nCheck nvidia-smi, or use a build for "
         "processors.");
  }
  if (gpu_number >= 0) {
    settings.set_device_id(gpu_number % n_gpus);
  }
#endif
  Kokkos::initialize(settings);
#ifdef KOKKOS_ENABLE_CUDA
  // A device's streams must be released, and Kokkos complains at exit if it was not finalized.
  // Everything made after this line is destroyed by then.
  std::atexit([] {
    if (!Kokkos::is_finalized()) {
      Kokkos::finalize();
    }
  });
#endif
}

} // namespace eqnn::kernels
