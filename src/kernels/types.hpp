// SPDX-License-Identifier: BSD-3-Clause
// Types shared by all kernels.
#pragma once

#include "kernels/tuning.hpp"

#include <Kokkos_Core.hpp>

#include <algorithm>
#include <cstdint>
#include <new>
#include <stdexcept>
#include <string>
#include <type_traits>

// A build with EQNN_DEVICE_BRANCH runs the GPU code paths on the host, so that they are tested
// without a GPU: teams of several threads, barriers, and device memory that the host copies to and
// from.
#ifdef EQNN_DEVICE_BRANCH
#define EQNN_WITHOUT_PARENTHESES(...) __VA_ARGS__
#define EQNN_IF_ON_HOST(code)
#define EQNN_IF_ON_DEVICE(code) {EQNN_WITHOUT_PARENTHESES code}
#else
#define EQNN_IF_ON_HOST(code) KOKKOS_IF_ON_HOST(code)
#define EQNN_IF_ON_DEVICE(code) KOKKOS_IF_ON_DEVICE(code)
#endif

namespace eqnn::kernels {

/// Where a model runs and in which precision. Scalar: features, weights, edge matrices. Accum: the
/// sums over channels and neighbors that decide the accuracy of energies and forces.
template <class ExecSpace, class FeatureScalar, class SumScalar> struct Setting {
  using Exec = ExecSpace;
  using Scalar = FeatureScalar;
  using Accum = SumScalar;
  using Memory = typename Exec::memory_space;
  using Policy = Kokkos::TeamPolicy<Exec>;
  using Team = typename Policy::member_type;
  using Range = Kokkos::RangePolicy<Exec>;
#ifdef EQNN_DEVICE_BRANCH
  static constexpr bool kOnHost = false;
#else
  static constexpr bool kOnHost = Kokkos::SpaceAccessibility<Kokkos::HostSpace, Memory>::accessible;
#endif
  /// Host memory that a device copies to and from at full speed.
#ifdef KOKKOS_HAS_SHARED_HOST_PINNED_SPACE
  using HostCopy = std::conditional_t<kOnHost, Kokkos::HostSpace, Kokkos::SharedHostPinnedSpace>;
#else
  using HostCopy = Kokkos::HostSpace;
#endif
};

/// Threads of a team on a device, and lanes of a thread.
inline constexpr int kTeamThreads = 8;
inline constexpr int kWarp = 32;

template <class S, class T> using Array = Kokkos::View<T*, typename S::Memory>;

/// Uninitialized room for n elements. Throws std::bad_alloc; Kokkos itself throws a plain
/// runtime_error.
template <class View> View allocate(const char* label, std::size_t n) {
  try {
    return View(Kokkos::view_alloc(std::string(label), Kokkos::WithoutInitializing), n);
  } catch (const std::runtime_error&) {
    throw std::bad_alloc();
  }
}

/// Rows of nodes: `components` x `stride` scalars each. Row r, component k, channel c is at r *
/// pitch + k * stride + c. stride: channels, padded with zeros to the SIMD width, so that loops
/// over channels have no remainder. pitch: scalars from one row to the next. It exceeds components
/// x stride when these are the rows of one block among several.
template <class Scalar> struct Rows {
  Scalar* data = nullptr;
  std::int32_t components = 0;
  std::int32_t channels = 0;
  std::int32_t stride = 0;
  std::int32_t pitch = 0;

  KOKKOS_INLINE_FUNCTION std::int32_t width() const { return pitch; }

  /// Scalars in a row of this block alone.
  KOKKOS_INLINE_FUNCTION std::int32_t extent() const { return components * stride; }

  KOKKOS_INLINE_FUNCTION Scalar* row(std::int64_t r) const { return data + r * pitch; }
};

/// The edges of one step on the device; see EdgeList. Distances and matrices are computed once and
/// shared by all stages.
template <class S> struct DeviceEdges {
  std::int32_t n_centers = 0, n_nodes = 0;
  std::int64_t n_edges = 0;
  std::int32_t n_groups = 0;
  Array<S, const std::int64_t> begin;   ///< [n_centers + 1]
  Array<S, const std::int32_t> source;  ///< [n_edges]
  Array<S, const std::int32_t> center;  ///< [n_edges]
  Array<S, const std::int32_t> species; ///< [n_nodes]
  Array<S, const double> vector;        ///< [n_edges, 3] Angstrom
  Array<S, double> distance;            ///< [n_edges] Angstrom
  /// Centers of group g: group[g] .. group[g+1]-1. One team works on a group, so each sum over
  /// neighbors has a single owner.
  Array<S, const std::int32_t> group;
};

// ---- team loops: nested on a device; plain, with SIMD over channels, on the host

template <class Team, class Body>
KOKKOS_FORCEINLINE_FUNCTION void for_rows(const Team& team, std::int64_t n, const Body& body) {
  EQNN_IF_ON_HOST((static_cast<void>(team); for (std::int64_t r = 0; r < n; ++r) { body(r); }))
  EQNN_IF_ON_DEVICE((Kokkos::parallel_for(Kokkos::TeamThreadRange(team, n), body);))
}

template <class Team, class Body>
KOKKOS_FORCEINLINE_FUNCTION void for_channels(const Team& team, int n, const Body& body) {
  EQNN_IF_ON_HOST(
      (static_cast<void>(team); _Pragma("omp simd") for (int c = 0; c < n; ++c) { body(c); }))
  EQNN_IF_ON_DEVICE((Kokkos::parallel_for(Kokkos::ThreadVectorRange(team, n), body);))
}

/// Sum of body(c) over begin <= c < end.
template <class T, class Team, class Body>
KOKKOS_FORCEINLINE_FUNCTION T sum_channels(const Team& team, int begin, int end, const Body& body) {
  T sum = 0;
  EQNN_IF_ON_HOST((
      static_cast<void>(team);
      _Pragma("omp simd reduction(+ : sum)") for (int c = begin; c < end; ++c) { sum += body(c); }))
  EQNN_IF_ON_DEVICE((Kokkos::parallel_reduce(
                         Kokkos::ThreadVectorRange(team, begin, end),
                         [&](int c, T& partial) { partial += body(c); },
                         sum);))
  return sum;
}

/// Inside for_rows: runs once, not once per vector lane.
template <class Team, class Body>
KOKKOS_FORCEINLINE_FUNCTION void once(const Team& team, const Body& body) {
  EQNN_IF_ON_HOST((static_cast<void>(team); body();))
  EQNN_IF_ON_DEVICE((Kokkos::single(Kokkos::PerThread(team), body);))
}

template <class Team> KOKKOS_FORCEINLINE_FUNCTION void barrier(const Team& team) {
  EQNN_IF_ON_HOST((static_cast<void>(team);))
  EQNN_IF_ON_DEVICE((team.team_barrier();))
}

/// Hands out the team's scratch memory piece by piece. A kernel's scratch_bytes() must cover what
/// it takes. Level 1 is a device's main memory, which is plentiful; level 0 is fast and small.
template <class Team, int Level = 1> class Scratch {
public:
  KOKKOS_INLINE_FUNCTION explicit Scratch(const Team& team)
      : team_(team) {}

  template <class T> KOKKOS_INLINE_FUNCTION T* take(std::int64_t n) const {
    return static_cast<T*>(team_.team_scratch(int{kLevel})
                               .get_shmem_aligned(static_cast<std::size_t>(n) * sizeof(T), kAlign));
  }

  /// Upper bound of the bytes that take<T>(n) needs.
  template <class T> static std::size_t bytes(std::int64_t n) {
    return static_cast<std::size_t>(n) * sizeof(T) + kAlign;
  }

  static constexpr int kLevel = Level;

private:
  static constexpr std::ptrdiff_t kAlign = 64;
  const Team& team_;
};

/// Teams of one thread on the host, which vectorizes inside. On a device, teams of kTeamThreads
/// threads of kWarp lanes; with EQNN_DEVICE_BRANCH, fewer threads where Kokkos allows no more.
template <class S> typename S::Policy
team_policy(const typename S::Exec& space, std::int64_t league, std::size_t scratch_bytes) {
  const int n_league = static_cast<int>(league);
#ifdef EQNN_DEVICE_BRANCH
  const int n_threads =
      std::min(kTeamThreads,
               typename S::Policy(space, 1, 1)
                   .team_size_max([](const typename S::Team&) {}, Kokkos::ParallelForTag()));
#else
  constexpr int n_threads = kTeamThreads; // NOLINT(readability-identifier-naming): as above
#endif
  typename S::Policy policy = S::kOnHost ? typename S::Policy(space, n_league, 1, 1)
                                         : typename S::Policy(space, n_league, n_threads, kWarp);
  policy.set_scratch_size(Scratch<typename S::Team>::kLevel, Kokkos::PerTeam(scratch_bytes));
  return policy;
}

} // namespace eqnn::kernels
