// SPDX-License-Identifier: BSD-3-Clause
// CPU time per kernel, and the most that the matrix products can reach.
#pragma once

#include "kernels/tile_multiply.hpp"

#include <chrono>
#include <ctime>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace eqnn::bench {

/// CPU time of this thread, the only one that computes: what else runs on the core does not count. With a
/// GPU, which this thread waits for, the time of day.
struct Clock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<Clock>;
  static constexpr bool is_steady = true;
  static inline clockid_t which = CLOCK_THREAD_CPUTIME_ID;

  static time_point now() {
    timespec t{};
    clock_gettime(which, &t);
    return time_point(std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec));
  }
};

inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// ---- time per kernel, by Kokkos's own hooks ----

inline std::map<std::string, double> kernel_seconds;
inline std::map<std::uint64_t, std::pair<std::string, Clock::time_point>> running;
inline std::uint64_t n_launched = 0;

// A launch returns before a GPU has begun: only between fences is its time its own.
inline void begin_kernel(const char* name, std::uint32_t, std::uint64_t* id) {
  Kokkos::fence("eqnn::bench");
  *id = n_launched++;
  running[*id] = {name, Clock::now()};
}

inline void end_kernel(std::uint64_t id) {
  Kokkos::fence("eqnn::bench");
  const auto found = running.find(id);
  kernel_seconds[found->second.first] += seconds_since(found->second.second);
  running.erase(found);
}

inline void watch_kernels(bool on) {
  using namespace Kokkos::Tools::Experimental;
  set_begin_parallel_for_callback(on ? begin_kernel : nullptr);
  set_end_parallel_for_callback(on ? end_kernel : nullptr);
  set_begin_parallel_reduce_callback(on ? begin_kernel : nullptr);
  set_end_parallel_reduce_callback(on ? end_kernel : nullptr);
}

/// GFLOP/s of the register kernel on operands in the L1 cache: the most that the matrix products
/// can reach here.
template <class Scalar> double peak() {
  constexpr int kRows = kernels::kRegisterRows * 4;
  constexpr int kDepth = 64;
  constexpr int kColumns = kernels::kPanel<Scalar>;
  std::vector<Scalar> a(kRows * kDepth, Scalar(1e-3));
  std::vector<Scalar> b(kDepth * kColumns, Scalar(1e-3));
  std::vector<Scalar> c(kRows * kColumns);
  double best = 0.0;
  for (int trial = 0; trial < 20; ++trial) {
    constexpr int kRounds = 4000;
    const auto start = Clock::now();
    for (int round = 0; round < kRounds; ++round) {
      kernels::host::multiply<false>(kernels::Extents{kRows, kColumns, kDepth},
                                     kernels::Left<Scalar>{a.data(), kDepth, 1},
                                     kernels::packed(b.data(), kDepth),
                                     kernels::Target<Scalar>{c.data(), kColumns});
    }
    best = std::max(best, 2e-9 * kRounds * kRows * kDepth * kColumns / seconds_since(start));
  }
  volatile Scalar sink = c[0];
  static_cast<void>(sink);
  return best;
}

} // namespace eqnn::bench
