// SPDX-License-Identifier: BSD-3-Clause
// Edge product: out[b, m3, c] += sum over edges of w_e[c] sum_m1 K_e[m1, m3] source[a, m1, c], path by
// path, and its adjoint. Formulas: docs/spec/model_file.md, adjoints: docs/spec/adjoints.md.
//
// As in edge_stages.hpp a team owns a group of centres and works through their edges in tiles; radial
// functions and the matrices K exist for one tile and are made again in the adjoint. On the host the
// sums of a path over the edges of a centre stay in registers.
#pragma once

#include "kernels/edge_stages.hpp"

namespace eqnn::kernels {

/// Where a path reads and writes, in scalars.
struct DevicePath {
  std::int32_t source = 0, source_stride = 0, d1 = 0; ///< first component and channel, rows
  std::int32_t out = 0, out_stride = 0, d3 = 0;
  std::int32_t channels = 0; ///< padded
  std::int32_t radial = 0;   ///< first channel
  std::int32_t entry = 0;    ///< of K, [d1, d3]
};

template <class S> struct DeviceEdgeProduct {
  std::int32_t n_paths = 0;
  std::int32_t harmonics = 0, harmonics_stride = 0;
  std::int32_t entries = 0, entries_stride = 0;
  Array<S, const DevicePath> paths;
  Array<S, typename S::Scalar> coupling; ///< [harmonics; entries], packed
  Array<S, typename S::Scalar> adjoint;  ///< [entries; harmonics], packed
  std::int32_t tile_edges = 0;
};

namespace host {

#ifdef EQNN_VECTOR_TYPES

template <class Scalar> using Vec = typename VectorOf<Scalar>::Type;

template <class Scalar> inline Vec<Scalar> load(const Scalar* p) {
  return *reinterpret_cast<const Vec<Scalar>*>(p);
}

/// Calls body(std::integral_constant<int, N>, first) for chunks of at most 9 of n: exact sizes of
/// degrees up to 4.
template <class Body> inline void for_chunks(int n, const Body& body) {
  int first = 0;
  while (n - first > 9) {
    body(std::integral_constant<int, 8>{}, first);
    first += 8;
  }
  switch (n - first) {
  case 1:
    return body(std::integral_constant<int, 1>{}, first);
  case 2:
    return body(std::integral_constant<int, 2>{}, first);
  case 3:
    return body(std::integral_constant<int, 3>{}, first);
  case 4:
    return body(std::integral_constant<int, 4>{}, first);
  case 5:
    return body(std::integral_constant<int, 5>{}, first);
  case 6:
    return body(std::integral_constant<int, 6>{}, first);
  case 7:
    return body(std::integral_constant<int, 7>{}, first);
  case 8:
    return body(std::integral_constant<int, 8>{}, first);
  default:
    return body(std::integral_constant<int, 9>{}, first);
  }
}

/// out[k, v] += sum over n edges of w x[i, v] K[i, k], NV registers of channels from v on.
template <int D3, int NV, class Scalar, class SourceOf>
inline void path_forward(int n,
                         const DevicePath& path,
                         const Scalar* k,
                         int k_pitch,
                         const Scalar* w,
                         int w_pitch,
                         const SourceOf& source_of,
                         Scalar* out) {
  Vec<Scalar> sum[D3][NV] = {};
  for (int e = 0; e < n; ++e) {
    const Scalar* const x = source_of(e);
    const Scalar* entry = k + e * k_pitch;
    Vec<Scalar> weight[NV];
    for (int v = 0; v < NV; ++v) {
      weight[v] = load(w + e * w_pitch + v * kLanes<Scalar>);
    }
    for (int i = 0; i < path.d1; ++i, entry += path.d3) {
      for (int v = 0; v < NV; ++v) {
        const Vec<Scalar> scaled =
            weight[v] * load(x + i * path.source_stride + v * kLanes<Scalar>);
#pragma GCC unroll 9
        for (int m = 0; m < D3; ++m) {
          sum[m][v] += entry[m] * scaled;
        }
      }
    }
  }
#pragma GCC unroll 9
  for (int m = 0; m < D3; ++m) {
    for (int v = 0; v < NV; ++v) {
      *reinterpret_cast<Vec<Scalar>*>(out + m * path.out_stride + v * kLanes<Scalar>) += sum[m][v];
    }
  }
}

/// Rows of one edge that path_adjoint takes at a time: as many sums as there are registers.
template <int D3> inline constexpr int kEntryRows =
    D3 * 4 <= (kVectorBytes == 64 ? 28 : 12) ? 3
                                             : (D3 * 3 <= (kVectorBytes == 64 ? 28 : 12) ? 2 : 1);

/// MI rows i of one edge, with t_i = sum_m K[i, m] adj_out[m]: adj_x_i += w t_i, adj_entry[i, m] +=
/// sum over channels of w x_i adj_out[m], and slope times x_i t_i is returned, lane by lane.
template <int D3, int MI, class Scalar> inline Vec<Scalar> path_adjoint(const DevicePath& path,
                                                                        const Scalar* entry,
                                                                        const Scalar* w,
                                                                        const Scalar* slope,
                                                                        const Scalar* x,
                                                                        const Scalar* adj_out,
                                                                        Scalar* adj_x,
                                                                        Scalar* adj_entry) {
  Vec<Scalar> sum[MI][D3] = {};
  Vec<Scalar> total{};
  for (int c = 0; c < path.channels; c += kLanes<Scalar>) {
    Vec<Scalar> y[D3];
#pragma GCC unroll 9
    for (int m = 0; m < D3; ++m) {
      y[m] = load(adj_out + m * path.out_stride + c);
    }
    const Vec<Scalar> weight = load(w + c);
    Vec<Scalar> adj_w{};
#pragma GCC unroll 3
    for (int i = 0; i < MI; ++i) {
      const Scalar* const k = entry + i * path.d3;
      const Vec<Scalar> left = load(x + i * path.source_stride + c);
      const Vec<Scalar> scaled = left * weight;
      Vec<Scalar> t = k[0] * y[0];
      sum[i][0] += scaled * y[0];
#pragma GCC unroll 9
      for (int m = 1; m < D3; ++m) {
        t += k[m] * y[m];
        sum[i][m] += scaled * y[m];
      }
      adj_w += t * left;
      *reinterpret_cast<Vec<Scalar>*>(adj_x + i * path.source_stride + c) += weight * t;
    }
    total += adj_w * load(slope + c);
  }
#pragma GCC unroll 3
  for (int i = 0; i < MI; ++i) {
#pragma GCC unroll 3
    for (int m = 0; m < D3; m += 4) {
      fold_lanes<Scalar>(&sum[i][m], D3 - m < 4 ? D3 - m : 4, adj_entry + i * path.d3 + m);
    }
  }
  return total;
}

#endif

} // namespace host

/// Buffers of one tile, and what the forward pass and its adjoint make again.
template <class S> struct EdgeProductTile {
  using Scalar = typename S::Scalar;
  using Team = typename S::Team;

  const Team& team;
  const DeviceEdges<S>& edges;
  const DeviceEdgeProduct<S>& p;
  const DeviceRadial<S>& radial;
  const Scalar* harmonics;
  Scalar *w, *slope; ///< [tile, radial.stride]
  Scalar *k, *adj_k; ///< [tile, entries_stride]

  static std::size_t scratch_bytes(const DeviceEdgeProduct<S>& p, const DeviceRadial<S>& radial) {
    return Scratch<Team>::template bytes<Scalar>(std::int64_t{p.tile_edges} *
                                                 (2 * radial.stride + 2 * p.entries_stride));
  }

  KOKKOS_INLINE_FUNCTION EdgeProductTile(const Team& team_,
                                         const DeviceEdges<S>& edges_,
                                         const DeviceEdgeProduct<S>& p_,
                                         const DeviceRadial<S>& radial_,
                                         const Scalar* harmonics_)
      : team(team_)
      , edges(edges_)
      , p(p_)
      , radial(radial_)
      , harmonics(harmonics_) {
    const std::int64_t n = p.tile_edges;
    w = Scratch<Team>(team_).template take<Scalar>(n * (2 * radial.stride + 2 * p.entries_stride));
    slope = w + n * radial.stride;
    k = slope + n * radial.stride;
    adj_k = k + n * p.entries_stride;
  }

  /// K = Y coupling
  KOKKOS_FORCEINLINE_FUNCTION void matrices(const EdgeTile<S>& tile) const {
    multiply<false>(
        team,
        static_cast<int>(tile.n),
        p.entries_stride,
        p.harmonics,
        Left<Scalar>{harmonics + tile.first * p.harmonics_stride, p.harmonics_stride, 1},
        packed(p.coupling.data(), p.harmonics),
        k,
        p.entries_stride);
  }
};

template <class S, class Scalar>
KOKKOS_FORCEINLINE_FUNCTION void sum_path_plainly(const typename S::Team& team,
                                                  const DeviceEdges<S>& edges,
                                                  std::int64_t edge,
                                                  std::int64_t n,
                                                  const DevicePath& path,
                                                  const DeviceEdgeProduct<S>& p,
                                                  const DeviceRadial<S>& radial,
                                                  const Scalar* k,
                                                  const Scalar* w,
                                                  const Rows<Scalar>& source,
                                                  Scalar* y) {
  for_rows(team, path.d3, [&](std::int64_t m) {
    for_channels(team, path.channels, [&](int c) {
      Scalar sum = 0;
      for (std::int64_t e = 0; e < n; ++e) {
        const Scalar* const x = source.row(edges.source(edge + e)) + path.source + c;
        Scalar product = 0;
        for (int i = 0; i < path.d1; ++i) {
          product += k[e * p.entries_stride + i * path.d3 + m] * x[i * path.source_stride];
        }
        sum += product * w[e * radial.stride + c];
      }
      y[m * path.out_stride + c] += sum;
    });
  });
  barrier(team);
}

/// y += the sum of one path over n edges of a centre, from `edge` on.
template <class S, class Scalar>
KOKKOS_FORCEINLINE_FUNCTION void sum_path(const typename S::Team& team,
                                          const DeviceEdges<S>& edges,
                                          std::int64_t edge,
                                          std::int64_t n,
                                          const DevicePath& path,
                                          const DeviceEdgeProduct<S>& p,
                                          const DeviceRadial<S>& radial,
                                          const Scalar* k,
                                          const Scalar* w,
                                          const Rows<Scalar>& source,
                                          Scalar* y) {
  static_cast<void>(team);
#ifdef EQNN_VECTOR_TYPES
  KOKKOS_IF_ON_HOST((host::for_chunks(path.d3, [&](auto size, int m) {
                       constexpr int kSize = decltype(size)::value;
                       // Enough independent sums to hide the latency of an addition.
                       constexpr int kWide = kSize == 1 ? 4 : (kSize <= 3 ? 2 : 1);
                       int c = 0;
                       const auto source_of = [&](int e) {
                         return source.row(edges.source(edge + e)) + path.source + c;
                       };
                       const auto run = [&](auto registers) {
                         host::path_forward<kSize, decltype(registers)::value>(
                             static_cast<int>(n),
                             path,
                             k + m,
                             p.entries_stride,
                             w + c,
                             radial.stride,
                             source_of,
                             y + m * path.out_stride + c);
                         c += decltype(registers)::value * kLanes<Scalar>;
                       };
                       while (c + kWide * kLanes<Scalar> <= path.channels) {
                         run(std::integral_constant<int, kWide>{});
                       }
                       while (c < path.channels) {
                         run(std::integral_constant<int, 1>{});
                       }
                     });))
#else
  KOKKOS_IF_ON_HOST((sum_path_plainly<S>(team, edges, edge, n, path, p, radial, k, w, source, y);))
#endif
  KOKKOS_IF_ON_DEVICE(
      (sum_path_plainly<S>(team, edges, edge, n, path, p, radial, k, w, source, y);))
}

template <class S> void edge_product(const typename S::Exec& space,
                                     const DeviceEdges<S>& edges,
                                     const DeviceEdgeProduct<S>& p,
                                     const DeviceRadial<S>& radial,
                                     const Array<S, typename S::Scalar>& harmonics,
                                     const Rows<typename S::Scalar>& source,
                                     const Rows<typename S::Scalar>& out) {
  using Scalar = typename S::Scalar;
  using Team = typename S::Team;
  Kokkos::parallel_for(
      "eqnn::edge_product",
      team_policy<S>(space, edges.n_groups, EdgeProductTile<S>::scratch_bytes(p, radial)),
      KOKKOS_LAMBDA(const Team& team) {
        const std::int32_t g = static_cast<std::int32_t>(team.league_rank());
        const EdgeProductTile<S> at(team, edges, p, radial, harmonics.data());
        clear_rows<S>(team, out, edges.group(g), edges.group(g + 1));
        for_tiles_of_group(team, edges, g, p.tile_edges, [&](const EdgeTile<S>& tile) {
          radial_rows<false>(team, radial, &edges.distance(tile.first), tile.n, at.w, at.w);
          at.matrices(tile);
          for_centers_of_tile(edges, tile, [&](std::int32_t i, std::int64_t first, std::int64_t n) {
            for (int q = 0; q < p.n_paths; ++q) {
              const DevicePath path = p.paths(q);
              const Scalar* const k = at.k + first * p.entries_stride + path.entry;
              const Scalar* const w = at.w + first * radial.stride + path.radial;
              Scalar* const y = out.row(i) + path.out;
              sum_path(team, edges, tile.first + first, n, path, p, radial, k, w, source, y);
            }
          });
        });
      });
}

template <class S>
KOKKOS_INLINE_FUNCTION typename S::Accum edge_adjoint_plainly(const typename S::Team& team,
                                                              const DeviceEdgeProduct<S>& p,
                                                              const typename S::Scalar* k,
                                                              const typename S::Scalar* w,
                                                              const typename S::Scalar* slope,
                                                              const typename S::Scalar* x,
                                                              const typename S::Scalar* adj_y,
                                                              typename S::Scalar* adj_x,
                                                              typename S::Scalar* adj_k) {
  using Scalar = typename S::Scalar;
  using Accum = typename S::Accum;
  Accum total = 0;
  for (int q = 0; q < p.n_paths; ++q) {
    const DevicePath path = p.paths(q);
    const Scalar* const weight = w + path.radial;
    const Scalar* const of_slope = slope + path.radial;
    for (int i = 0; i < path.d1; ++i) {
      const Scalar* const row = x + path.source + i * path.source_stride;
      Scalar* const adj_row = adj_x + path.source + i * path.source_stride;
      const Scalar* const entry = k + path.entry + i * path.d3;
      total += sum_channels<Accum>(team, 0, path.channels, [&](int c) {
        Scalar t = 0;
        for (int m = 0; m < path.d3; ++m) {
          t += entry[m] * adj_y[path.out + m * path.out_stride + c];
        }
        adj_row[c] += weight[c] * t;
        return static_cast<Accum>(row[c] * t * of_slope[c]);
      });
      for (int m = 0; m < path.d3; ++m) {
        const Scalar* const adj_out = adj_y + path.out + m * path.out_stride;
        const Scalar sum = sum_channels<Scalar>(
            team, 0, path.channels, [&](int c) { return weight[c] * row[c] * adj_out[c]; });
        once(team, [&]() { adj_k[path.entry + i * path.d3 + m] += sum; });
      }
    }
  }
  return total;
}

#ifdef EQNN_VECTOR_TYPES
template <class S> typename S::Accum edge_adjoint_on_host(const typename S::Team&,
                                                          const DeviceEdgeProduct<S>& p,
                                                          const typename S::Scalar* k,
                                                          const typename S::Scalar* w,
                                                          const typename S::Scalar* slope,
                                                          const typename S::Scalar* x,
                                                          const typename S::Scalar* adj_y,
                                                          typename S::Scalar* adj_x,
                                                          typename S::Scalar* adj_k) {
  using Scalar = typename S::Scalar;
  using Accum = typename S::Accum;
  host::Vec<Scalar> total{};
  for (int q = 0; q < p.n_paths; ++q) {
    const DevicePath& path = p.paths(q);
    host::for_chunks(path.d3, [&](auto size, int m) {
      constexpr int kSize = decltype(size)::value;
      const Scalar* const of_y = adj_y + path.out + m * path.out_stride;
      int i = 0;
      const auto run = [&](auto rows) {
        const int first = i * path.source_stride;
        const int entry = path.entry + i * path.d3 + m;
        total += host::path_adjoint<kSize, decltype(rows)::value>(path,
                                                                  k + entry,
                                                                  w + path.radial,
                                                                  slope + path.radial,
                                                                  x + path.source + first,
                                                                  of_y,
                                                                  adj_x + path.source + first,
                                                                  adj_k + entry);
        i += decltype(rows)::value;
      };
      constexpr int kRows = host::kEntryRows<kSize>;
      while (i + kRows <= path.d1) {
        run(std::integral_constant<int, kRows>{});
      }
      while (i < path.d1) {
        run(std::integral_constant<int, 1>{});
      }
    });
  }
  Accum sum = 0;
  for (int lane = 0; lane < kLanes<Scalar>; ++lane) {
    sum += static_cast<Accum>(total[lane]);
  }
  return sum;
}
#endif

/// All paths of one edge; returns the adjoint of its distance.
template <class S>
KOKKOS_FORCEINLINE_FUNCTION typename S::Accum edge_adjoint(const typename S::Team& team,
                                                           const DeviceEdgeProduct<S>& p,
                                                           const typename S::Scalar* k,
                                                           const typename S::Scalar* w,
                                                           const typename S::Scalar* slope,
                                                           const typename S::Scalar* x,
                                                           const typename S::Scalar* adj_y,
                                                           typename S::Scalar* adj_x,
                                                           typename S::Scalar* adj_k) {
#ifdef EQNN_VECTOR_TYPES
  KOKKOS_IF_ON_HOST((return edge_adjoint_on_host<S>(team, p, k, w, slope, x, adj_y, adj_x, adj_k);))
#else
  KOKKOS_IF_ON_HOST((return edge_adjoint_plainly<S>(team, p, k, w, slope, x, adj_y, adj_x, adj_k);))
#endif
  KOKKOS_IF_ON_DEVICE(
      (return edge_adjoint_plainly<S>(team, p, k, w, slope, x, adj_y, adj_x, adj_k);))
}

/// Adjoint for the groups first_group .. first_group + n_groups - 1: adj_harmonics [n_edges, stride]
/// and adj_distance [n_edges] are added to; adjoints of the sources go where `adjoints` says.
template <class S> void edge_product_adjoint(const typename S::Exec& space,
                                             const DeviceEdges<S>& edges,
                                             std::int32_t first_group,
                                             std::int32_t n_groups,
                                             const DeviceEdgeProduct<S>& p,
                                             const DeviceRadial<S>& radial,
                                             const Array<S, typename S::Scalar>& harmonics,
                                             const Rows<typename S::Scalar>& source,
                                             const Rows<typename S::Scalar>& adj_out,
                                             const MessageAdjoints<S>& adjoints,
                                             const Array<S, typename S::Scalar>& adj_harmonics,
                                             const Array<S, typename S::Accum>& adj_distance) {
  using Scalar = typename S::Scalar;
  using Accum = typename S::Accum;
  using Team = typename S::Team;
  Kokkos::parallel_for(
      "eqnn::edge_product_adjoint",
      team_policy<S>(space,
                     n_groups,
                     EdgeProductTile<S>::scratch_bytes(p, radial) +
                         Scratch<Team>::template bytes<Scalar>(source.width())),
      KOKKOS_LAMBDA(const Team& team) {
        const std::int32_t g = first_group + static_cast<std::int32_t>(team.league_rank());
        const EdgeProductTile<S> at(team, edges, p, radial, harmonics.data());
        const int width = source.width();
        Scalar* const message = Scratch<Team>(team).template take<Scalar>(width);
        for_tiles_of_group(team, edges, g, p.tile_edges, [&](const EdgeTile<S>& tile) {
          radial_rows<true>(team, radial, &edges.distance(tile.first), tile.n, at.w, at.slope);
          for_rows(team, tile.n, [&](std::int64_t e) {
            Scalar* const adj_k = at.adj_k + e * p.entries_stride;
            for_channels(team, p.entries_stride, [&](int c) { adj_k[c] = 0; });
          });
          barrier(team);
          at.matrices(tile);
          for_rows(team, tile.n, [&](std::int64_t e) {
            const std::int64_t edge = tile.first + e;
            const Scalar* const x = source.row(edges.source(edge));
            const Scalar* const adj_y = adj_out.row(edges.center(edge));
            // The sum over paths first, then over edges: the same order as with several threads.
            Scalar* const adj_x = adjoints.messages != nullptr
                                      ? adjoints.messages + (edge - adjoints.first_edge) * width
                                      : message;
            for_channels(team, width, [&](int c) { adj_x[c] = 0; });
            const Accum total = edge_adjoint<S>(team,
                                                p,
                                                at.k + e * p.entries_stride,
                                                at.w + e * radial.stride,
                                                at.slope + e * radial.stride,
                                                x,
                                                adj_y,
                                                adj_x,
                                                at.adj_k + e * p.entries_stride);
            once(team, [&]() { adj_distance(edge) += total; });
            if (adjoints.messages == nullptr) {
              Scalar* const row = adjoints.source.row(edges.source(edge));
              for_channels(team, width, [&](int c) { row[c] += message[c]; });
            }
          });
          barrier(team);
          multiply<true>(team,
                         static_cast<int>(tile.n),
                         p.harmonics_stride,
                         p.entries,
                         Left<Scalar>{at.adj_k, p.entries_stride, 1},
                         packed(p.adjoint.data(), p.entries),
                         adj_harmonics.data() + tile.first * p.harmonics_stride,
                         p.harmonics_stride);
        });
      });
}

} // namespace eqnn::kernels
