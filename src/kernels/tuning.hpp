// SPDX-License-Identifier: BSD-3-Clause
// Every number chosen for speed, and how it was chosen. None changes a result beyond rounding.
#pragma once

#include <cstddef>
#include <cstdint>

namespace eqnn::kernels {

/// Bytes of a SIMD register of the machine that the host code is compiled for.
#if defined(EQNN_DEVICE_BRANCH)
inline constexpr std::size_t kVectorBytes = 16;
inline constexpr int kRegisterRows = 6;
#elif defined(__AVX512F__)
inline constexpr std::size_t kVectorBytes = 64;
inline constexpr int kRegisterRows = 12; // 12 x 2 accumulators of 32 registers
#elif defined(__AVX__)
inline constexpr std::size_t kVectorBytes = 32;
inline constexpr int kRegisterRows = 6; // 6 x 2 accumulators of 16 registers
#else
inline constexpr std::size_t kVectorBytes = 16;
inline constexpr int kRegisterRows = 6;
#endif

template <class Scalar> inline constexpr int kLanes =
    static_cast<int>(kVectorBytes / sizeof(Scalar));

/// Lanes of a register whose lanes are summed at the end: eight at most, since fewer lanes leave
/// less to add. In single precision on AVX-512 (Zen 4), the adjoint of an edge product takes some
/// 0.7 of the time that it takes with sixteen lanes for 32 channels, and some 0.9 for 128. In
/// double precision, eight are better than four.
template <class Scalar> inline constexpr int kFoldLanes = kLanes<Scalar> < 8 ? kLanes<Scalar> : 8;

/// Columns that the register kernel of tile_multiply.hpp computes at a time. Weights are packed in
/// panels of this many columns.
template <class Scalar> inline constexpr int kPanel = 2 * kLanes<Scalar>;

/// Share of the L2 cache for the edge buffers of one tile (L2: 512 KiB on Zen 3, 2 MiB on Sapphire
/// Rapids).
inline constexpr std::size_t kTileBytes = 192 * 1024;
/// The same for stages with a network on edges. Its weights are megabytes that are read once for
/// each tile, so tiles are as long as they can be. On a device every team has its own.
inline constexpr std::size_t kNetworkTileBytes = std::size_t{4} << 20;
inline constexpr std::size_t kDeviceNetworkTileBytes = std::size_t{256} << 10;
inline constexpr std::int32_t kFewestTileEdges = 4;
inline constexpr std::int32_t kMostTileEdges = 64;

/// Degree of the pieces of radial functions in single precision; their number follows from the
/// tolerance. On the host, degrees 3, 5 and 7 take the same time within some percent
/// (docs/performance.md), and 5 needs a third of the memory of 3. A GPU's kernels are bound by the
/// numbers that they read per channel: four for a cubic instead of six. For the same error of the
/// values, slopes of cubics are worse by up to a factor of two, hence the smaller tolerance there.
inline constexpr int kRadialDegree = 5;
inline constexpr double kRadialTolerance = 6e-8;
inline constexpr int kDeviceRadialDegree = 3;
inline constexpr double kDeviceRadialTolerance = 2e-8;

/// Nodes per tile of a node-level stage.
inline constexpr std::int32_t kTileNodes = 16;
/// Fewest teams of such a stage that a device should have: several for each of 132 multiprocessors.
inline constexpr std::int64_t kDeviceTeams = 1024;

/// Size in bytes of the buffer where adjoints of messages wait for their sources when several
/// threads compute them. On the host it stays in a cache; on a device it is large enough to fill
/// the machine.
inline constexpr std::size_t kMessageBytes = std::size_t{8} << 20;
inline constexpr std::size_t kDeviceMessageBytes = std::size_t{512} << 20;

} // namespace eqnn::kernels
