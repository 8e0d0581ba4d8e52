// SPDX-License-Identifier: BSD-3-Clause
// The edge product on a GPU. A thread's lanes are channels. A lane keeps its sums in registers, the
// matrices of a tile's edges are in shared memory, and radial functions are evaluated where they
// are used.
//
// dE/d(direction of an edge) comes from dK along two tangents of the sphere. This takes two sums
// over channels per edge instead of one per entry of K. docs/spec/stages/edge_product.md
#pragma once

#include "kernels/edge_sums.hpp"
#include "kernels/stages/edge_product_paths.hpp"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <vector>

namespace eqnn::kernels {

/// Channels that a lane handles at a time, 32 apart.
template <class Scalar> inline constexpr int kLaneChannels = sizeof(Scalar) == 4 ? 2 : 1;

/// Bytes of shared memory for the matrices of a tile. A team gets up to 48 KiB without an opt-in.
inline constexpr std::int64_t kSharedMatrixBytes = 40 * 1024;

/// Divides a block among threads: its rows in chunks of 7, 5, 3 and 1, and its channels. `paths`:
/// those that end (or begin) in the block. first_of: their first channel in the memory of `block`.
/// Appends to units and, for each unit, appends the paths that reach its channels to unit_paths.
template <class Scalar, class FirstOf> void share_out(LaneUnit block,
                                                      std::int32_t n_rows,
                                                      const std::vector<DevicePath>& paths,
                                                      const FirstOf& first_of,
                                                      std::vector<LaneUnit>& units,
                                                      std::vector<DevicePath>& unit_paths) {
  constexpr std::int32_t kWide = kLaneChannels<Scalar> * kWarp;
  const auto channel_of = [&](const DevicePath& path) { return first_of(path) - block.block; };
  for (std::int32_t c = 0; c < block.channels;) {
    // Wide if every path covers all of these channels or none.
    const bool wide = c + kWide <= block.channels &&
                      std::all_of(paths.begin(), paths.end(), [&](const auto& path) {
                        const std::int32_t begin = channel_of(path), end = begin + path.channels;
                        return (begin <= c && c + kWide <= end) || end <= c || c + kWide <= begin;
                      });
    block.channel = c;
    block.wide = wide ? 1 : 0;
    c += wide ? kWide : kWarp;
    block.first_path = static_cast<std::int32_t>(unit_paths.size());
    std::copy_if(
        paths.begin(), paths.end(), std::back_inserter(unit_paths), [&](const DevicePath& path) {
          return channel_of(path) < c && block.channel < channel_of(path) + path.channels;
        });
    block.n_paths = static_cast<std::int32_t>(unit_paths.size()) - block.first_path;
    for (block.first_row = 0, block.rows = 7; block.first_row < n_rows;
         block.first_row += block.rows) {
      while (block.rows > n_rows - block.first_row) {
        block.rows -= 2;
      }
      units.push_back(block);
    }
  }
}

/// Bytes of the matrices kept for one edge: K, or K and its derivatives along the tangents.
template <class S, int NMatrices> std::int64_t lane_matrix_bytes(const DeviceEdgeProduct<S>& p) {
  return std::int64_t{NMatrices} * p.entries * std::int64_t{sizeof(typename S::Scalar)};
}

/// Whether shared memory holds one edge per thread of a team. If matrices are larger (all paths of
/// degree 4 and up), tiles are in main memory, and a cache holds those used last.
template <class S, int NMatrices> bool fits_shared_memory(const DeviceEdgeProduct<S>& p) {
  return lane_matrix_bytes<S, NMatrices>(p) * kTeamThreads <= kSharedMatrixBytes;
}

/// A tile of edges in memory of a given level (see Scratch), and the work of threads on it.
template <class S, int NMatrices, int Level> struct LaneTile {
  using Scalar = typename S::Scalar;
  using Accum = typename S::Accum;
  using Team = typename S::Team;
  using Memory = Scratch<Team, Level>;
  static constexpr int kMatrices = NMatrices; ///< 1: K; 3: K, and dK along both tangents

  const Team& team;
  const ProductArrays<S>& on;
  const DeviceEdgeProduct<S>& p;
  std::int32_t capacity;
  Scalar* k;              ///< [kMatrices, capacity, entries]
  Scalar* t;              ///< [capacity] position of an edge in its interval, in [-1, 1]
  std::int32_t* interval; ///< [capacity]

  /// Edges per tile: a multiple of the threads of a team.
  static std::int32_t capacity_of(const DeviceEdgeProduct<S>& p) {
    constexpr std::int64_t kMost = kMostTileEdges / 2;
    const std::int64_t n =
        Level == 0 ? kSharedMatrixBytes / lane_matrix_bytes<S, NMatrices>(p) : kMost;
    return static_cast<std::int32_t>(std::min(n / kTeamThreads * kTeamThreads, kMost));
  }

  static std::size_t tile_bytes(const DeviceEdgeProduct<S>& p) {
    const std::int64_t n = capacity_of(p);
    return Memory::template bytes<Scalar>(n * kMatrices * p.entries) +
           Memory::template bytes<Scalar>(n) + Memory::template bytes<std::int32_t>(n);
  }

  KOKKOS_INLINE_FUNCTION
  LaneTile(const Team& team_, const ProductArrays<S>& arrays, std::int32_t tile_edges)
      : team(team_)
      , on(arrays)
      , p(arrays.product)
      , capacity(tile_edges)
      , k(Memory(team_).template take<Scalar>(std::int64_t{kMatrices} * capacity * p.entries))
      , t(Memory(team_).template take<Scalar>(capacity))
      , interval(Memory(team_).template take<std::int32_t>(capacity)) {}

  KOKKOS_FORCEINLINE_FUNCTION const Scalar* matrix(int which, std::int64_t e) const {
    return k + (std::int64_t{which} * capacity + e) * p.entries;
  }

  /// Locates edges in the radial table, and computes their matrices: K = Y coupling, and dK from
  /// dY.
  KOKKOS_FORCEINLINE_FUNCTION void fill(const EdgeTile<S>& tile, const Scalar* tangents) const {
    for_rows(team, kMatrices * tile.n, [&](std::int64_t row) {
      const int which = static_cast<int>(row / tile.n);
      const std::int64_t e = row - which * tile.n;
      const std::int64_t edge = tile.first + e;
      const std::int64_t stride = p.harmonics_stride;
      const Scalar* const y = which == 0 ? on.harmonics.data() + edge * stride
                                         : tangents + (2 * edge + which - 1) * stride;
      Scalar* const to = k + (std::int64_t{which} * capacity + e) * p.entries;
      for_channels(team, p.entries, [&](int c) {
        const Scalar* column = p.coupling.data() +
                               std::int64_t{c / kPanel<Scalar>} * kPanel<Scalar> * p.harmonics +
                               c % kPanel<Scalar>;
        Scalar sum = 0;
        for (int h = 0; h < p.harmonics; ++h) {
          sum += y[h] * column[h * kPanel<Scalar>];
        }
        to[c] = sum;
      });
      once(team, [&]() {
        if (which == 0) {
          interval[e] = find_interval(on.radial, on.edges, edge, t[e]);
        }
      });
    });
    barrier(team);
  }

  /// w of an edge's N channels starting at c, kWarp apart; slope: dw/dt.
  template <int N, bool WithSlope> KOKKOS_FORCEINLINE_FUNCTION void
  radial(std::int64_t e, int c, Scalar (&w)[N], Scalar (&slope)[N]) const {
    const std::int64_t degree = on.radial.degree;
    const std::int64_t stride = on.radial.stride;
    const Scalar* row = coefficients_of(on.radial, interval[e]) + degree * stride + c;
    const Scalar at = t[e];
    for (int v = 0; v < N; ++v) {
      w[v] = row[v * kWarp];
      slope[v] = 0;
    }
    for (std::int64_t power = degree - 1; power >= 0; --power) {
      row -= stride;
      for (int v = 0; v < N; ++v) {
        if constexpr (WithSlope) {
          slope[v] = slope[v] * at + w[v];
        }
        w[v] = w[v] * at + row[v * kWarp];
      }
    }
  }

  // ---- forward ----

  /// out += all paths of the tile's edges
  KOKKOS_FORCEINLINE_FUNCTION void sum_paths(const EdgeTile<S>& tile) const {
    for_centers_of_tile(on.edges, tile, [&](std::int32_t i, std::int64_t first, std::int64_t n) {
      for_rows(team, p.n_sums, [&](std::int64_t u) {
        const LaneUnit unit = p.sums(u);
        Scalar* const y = on.out.row(i);
        const EdgeTile<S> part{first, n};
        switch (unit.rows) {
        case 1:
          return sum_unit<1>(unit, tile.first, part, y);
        case 3:
          return sum_unit<3>(unit, tile.first, part, y);
        case 5:
          return sum_unit<5>(unit, tile.first, part, y);
        default:
          return sum_unit<7>(unit, tile.first, part, y);
        }
      });
    });
  }

  template <int M> KOKKOS_FORCEINLINE_FUNCTION void
  sum_unit(const LaneUnit& unit, std::int64_t edge, const EdgeTile<S>& part, Scalar* y) const {
    Kokkos::parallel_for(Kokkos::ThreadVectorRange(team, kWarp), [&](int lane) {
      const int c = unit.channel + lane;
      if (unit.wide != 0) {
        sum_lane<M, kLaneChannels<Scalar>>(unit, edge, part, c, y);
      } else if (c < unit.channels) {
        sum_lane<M, 1>(unit, edge, part, c, y);
      }
    });
  }

  /// y[m] += sum over paths and edges of w sum_i K[i, m] x_i for M rows m and N channels.
  template <int M, int N> KOKKOS_FORCEINLINE_FUNCTION void sum_lane(
      const LaneUnit& unit, std::int64_t edge, const EdgeTile<S>& part, int c, Scalar* y) const {
    Scalar sum[M][N] = {};
    for (int q = unit.first_path; q < unit.first_path + unit.n_paths; ++q) {
      const DevicePath path = p.by_out(q);
      const int of_path = unit.block + c - path.out;
      if (of_path < 0 || of_path >= path.channels) {
        continue;
      }
      for (std::int64_t e = part.first; e < part.first + part.n; ++e) {
        Scalar w[N], none[N];
        radial<N, false>(e, path.radial + of_path, w, none);
        const Scalar* const x = on.source.row(on.edges.source(edge + e)) + path.source + of_path;
        const Scalar* entry = matrix(0, e) + path.entry + unit.first_row;
        for (int i = 0; i < path.d1; ++i, entry += path.d3) {
          Scalar scaled[N];
          for (int v = 0; v < N; ++v) {
            scaled[v] = w[v] * x[i * path.source_stride + v * kWarp];
          }
          for (int m = 0; m < M; ++m) {
            for (int v = 0; v < N; ++v) {
              sum[m][v] += entry[m] * scaled[v];
            }
          }
        }
      }
    }
    Scalar* const to = y + unit.block + unit.first_row * unit.stride + c;
    for (int m = 0; m < M; ++m) {
      for (int v = 0; v < N; ++v) {
        to[m * unit.stride + v * kWarp] += sum[m][v];
      }
    }
  }

  // ---- adjoint ----

  /// An edge of the tile and its rows.
  struct EdgeAt {
    std::int64_t e;
    const Scalar *x, *adj_y; ///< of its source; of its center
    Scalar* message;
  };

  /// Messages, dE/d(distance) and dE/d(direction) of the tile's edges.
  KOKKOS_FORCEINLINE_FUNCTION void paths_adjoint(const EdgeTile<S>& tile,
                                                 const ProductAdjoints<S>& to) const {
    for_rows(team, tile.n, [&](std::int64_t e) {
      const std::int64_t edge = tile.first + e;
      const EdgeAt at{e,
                      on.source.row(on.edges.source(edge)),
                      on.out.row(on.edges.center(edge)),
                      to.messages.messages + (edge - to.messages.first_edge) * on.source.width()};
      EdgeSums<Accum> total;
      Kokkos::parallel_reduce(
          Kokkos::ThreadVectorRange(team, kWarp),
          [&](int lane, EdgeSums<Accum>& sums) {
            for (int u = 0; u < p.n_adjoints; ++u) {
              adjoint_unit(p.adjoints(u), at, lane, sums);
            }
          },
          total);
      once(team, [&]() {
        to.adj_distance(edge) +=
            total.distance * static_cast<Accum>(slope_of(on.radial, interval[e]));
        to.adj_tangents(2 * edge) += total.first;
        to.adj_tangents(2 * edge + 1) += total.second;
      });
    });
    barrier(team);
  }

  KOKKOS_FORCEINLINE_FUNCTION void
  adjoint_unit(const LaneUnit& unit, const EdgeAt& at, int lane, EdgeSums<Accum>& sums) const {
    switch (unit.rows) {
    case 1:
      return adjoint_rows<1>(unit, at, lane, sums);
    case 3:
      return adjoint_rows<3>(unit, at, lane, sums);
    case 5:
      return adjoint_rows<5>(unit, at, lane, sums);
    default:
      return adjoint_rows<7>(unit, at, lane, sums);
    }
  }

  template <int D> KOKKOS_FORCEINLINE_FUNCTION void
  adjoint_rows(const LaneUnit& unit, const EdgeAt& at, int lane, EdgeSums<Accum>& sums) const {
    const int c = unit.channel + lane;
    if (unit.wide != 0) {
      adjoint_lane<D, kLaneChannels<Scalar>>(unit, at, c, sums);
    } else if (c < unit.channels) {
      adjoint_lane<D, 1>(unit, at, c, sums);
    }
  }

  /// For D rows i and N channels, with t_i = sum_m K[i, m] adj_y[m]: message_i = sum over paths of
  /// w t_i; sums += dw/dt x_i t_i, and w x_i dK[i, m] adj_y[m] for both tangents.
  template <int D, int N> KOKKOS_FORCEINLINE_FUNCTION void
  adjoint_lane(const LaneUnit& unit, const EdgeAt& at, int c, EdgeSums<Accum>& sums) const {
    const std::int64_t first_scalar = unit.block + std::int64_t{unit.first_row} * unit.stride + c;
    const Scalar* const from = at.x + first_scalar;
    Scalar* const message = at.message + first_scalar;
    Scalar x[D][N], adj_x[D][N] = {};
    for (int i = 0; i < D; ++i) {
      for (int v = 0; v < N; ++v) {
        x[i][v] = from[i * unit.stride + v * kWarp];
      }
    }
    for (int q = unit.first_path; q < unit.first_path + unit.n_paths; ++q) {
      const DevicePath path = p.by_source(q);
      const int of_path = unit.block + c - path.source;
      if (of_path < 0 || of_path >= path.channels) {
        continue;
      }
      Scalar w[N], slope[N];
      radial<N, true>(at.e, path.radial + of_path, w, slope);
      const int row = path.entry + unit.first_row * path.d3;
      const Scalar* const entry = matrix(0, at.e) + row;
      const Scalar* const first = matrix(1, at.e) + row;
      const Scalar* const second = matrix(2, at.e) + row;
      Scalar t_of[D][N] = {};
      Scalar along_first[N] = {}, along_second[N] = {};
      for (int m = 0; m < path.d3; ++m) {
        Scalar y[N], of_first[N] = {}, of_second[N] = {};
        for (int v = 0; v < N; ++v) {
          y[v] = at.adj_y[path.out + of_path + m * path.out_stride + v * kWarp];
        }
        for (int i = 0; i < D; ++i) {
          const Scalar here = entry[i * path.d3 + m];
          const Scalar here_first = first[i * path.d3 + m];
          const Scalar here_second = second[i * path.d3 + m];
          for (int v = 0; v < N; ++v) {
            t_of[i][v] += here * y[v];
            of_first[v] += here_first * x[i][v];
            of_second[v] += here_second * x[i][v];
          }
        }
        for (int v = 0; v < N; ++v) {
          along_first[v] += of_first[v] * y[v];
          along_second[v] += of_second[v] * y[v];
        }
      }
      for (int v = 0; v < N; ++v) {
        Scalar adj_w = 0;
        for (int i = 0; i < D; ++i) {
          adj_w += t_of[i][v] * x[i][v];
          adj_x[i][v] += w[v] * t_of[i][v];
        }
        sums.distance += static_cast<Accum>(adj_w * slope[v]);
        sums.first += static_cast<Accum>(w[v] * along_first[v]);
        sums.second += static_cast<Accum>(w[v] * along_second[v]);
      }
    }
    for (int i = 0; i < D; ++i) {
      for (int v = 0; v < N; ++v) {
        message[i * unit.stride + v * kWarp] = adj_x[i][v];
      }
    }
  }
};

/// One team per group, with memory for its tile.
template <class Tile, class S> typename S::Policy
lane_policy(const typename S::Exec& space, std::int32_t n_groups, const DeviceEdgeProduct<S>& p) {
  typename S::Policy policy = team_policy<S>(space, n_groups, 0);
  policy.set_scratch_size(Tile::Memory::kLevel,
                          Kokkos::PerTeam(static_cast<int>(Tile::tile_bytes(p))));
  return policy;
}

template <int Level, class S>
void edge_product_lanes_at(const typename S::Exec& space, const ProductArrays<S>& arrays) {
  using Team = typename S::Team;
  using Tile = LaneTile<S, 1, Level>;
  const std::int32_t tile_edges = Tile::capacity_of(arrays.product);
  Kokkos::parallel_for(
      "eqnn::edge_product",
      lane_policy<Tile, S>(space, arrays.edges.n_groups, arrays.product),
      KOKKOS_LAMBDA(const Team& team) {
        const auto g = static_cast<std::int32_t>(team.league_rank());
        const DeviceEdges<S>& edges = arrays.edges;
        const Tile at(team, arrays, tile_edges);
        clear_rows<S>(team, arrays.out, edges.group(g), edges.group(g + 1));
        for_tiles_of_group(team, edges, g, tile_edges, [&](const EdgeTile<S>& tile) {
          at.fill(tile, nullptr);
          at.sum_paths(tile);
        });
      });
}

template <int Level, class S>
void edge_product_adjoint_lanes_at(const typename S::Exec& space,
                                   const EdgeSchedule::Chunk& chunk,
                                   const ProductArrays<S>& arrays,
                                   const ProductAdjoints<S>& adjoints) {
  using Team = typename S::Team;
  using Tile = LaneTile<S, 3, Level>;
  const std::int32_t first_group = chunk.first_group;
  const std::int32_t tile_edges = Tile::capacity_of(arrays.product);
  Kokkos::parallel_for(
      "eqnn::edge_product_adjoint",
      lane_policy<Tile, S>(space, chunk.n_groups, arrays.product),
      KOKKOS_LAMBDA(const Team& team) {
        const std::int32_t g = first_group + static_cast<std::int32_t>(team.league_rank());
        const Tile at(team, arrays, tile_edges);
        for_tiles_of_group(team, arrays.edges, g, tile_edges, [&](const EdgeTile<S>& tile) {
          at.fill(tile, adjoints.tangents.data());
          at.paths_adjoint(tile, adjoints);
        });
      });
}

template <class S>
void edge_product_lanes(const typename S::Exec& space, const ProductArrays<S>& arrays) {
  if (fits_shared_memory<S, 1>(arrays.product)) {
    edge_product_lanes_at<0>(space, arrays);
  } else {
    edge_product_lanes_at<1>(space, arrays);
  }
}

template <class S> void edge_product_adjoint_lanes(const typename S::Exec& space,
                                                   const EdgeSchedule::Chunk& chunk,
                                                   const ProductArrays<S>& arrays,
                                                   const ProductAdjoints<S>& adjoints) {
  if (fits_shared_memory<S, 3>(arrays.product)) {
    edge_product_adjoint_lanes_at<0>(space, chunk, arrays, adjoints);
  } else {
    edge_product_adjoint_lanes_at<1>(space, chunk, arrays, adjoints);
  }
}

} // namespace eqnn::kernels
