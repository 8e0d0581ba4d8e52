// SPDX-License-Identifier: BSD-3-Clause
// Paths of an edge product on a device, and the inner loops of one: for stages/edge_product.hpp.
#pragma once

#include "kernels/edge_tiles.hpp"
#include "kernels/tables.hpp"
#include "plan/stages/edge_product.hpp"

#include <type_traits>

namespace eqnn::kernels {

/// Offsets of a path in the rows that it reads and writes, in scalars.
struct DevicePath {
  std::int32_t source = 0, source_stride = 0, d1 = 0; ///< first component and channel, rows
  std::int32_t out = 0, out_stride = 0, d3 = 0;
  std::int32_t channels = 0; ///< padded
  std::int32_t radial = 0;   ///< first channel
  std::int32_t entry = 0;    ///< first entry in K, [d1, d3]
};

/// The work of one thread on a device: some rows and channels of a block, either of the output for
/// a center or of the source's adjoint for an edge. The unit takes all paths that end (or begin)
/// there, so no other unit adds to it.
struct LaneUnit {
  std::int32_t block = 0, stride = 0,
               channels = 0;            ///< first component and channel; padded channels
  std::int32_t first_row = 0, rows = 0; ///< rows: 1, 3, 5 or 7
  std::int32_t channel = 0, wide = 0;   ///< first channel; 1: kLaneChannels per lane, 0: one
  std::int32_t first_path = 0, n_paths = 0;
};

template <class S> struct DeviceEdgeProduct {
  std::int32_t n_paths = 0;
  std::int32_t harmonics = 0, harmonics_stride = 0;
  std::int32_t entries = 0, entries_stride = 0;
  Array<S, const DevicePath> paths;
  Array<S, typename S::Scalar> coupling; ///< [harmonics; entries], packed
  Array<S, typename S::Scalar> adjoint;  ///< [entries; harmonics], packed
  std::int32_t tile_edges = 0;
  // On a device:
  std::int32_t n_sums = 0, n_adjoints = 0;
  Array<S, const LaneUnit> sums, adjoints;
  Array<S, const DevicePath> by_out, by_source; ///< the paths of each unit, unit by unit
};

/// The place of a block in a row: its first scalar, stride and rows.
template <class S>
LaneUnit place_of(plan::ValueId v, std::int32_t block, const DeviceTables<S>& tables) {
  const bool all = block == plan::kAllBlocks;
  LaneUnit place;
  place.block = all ? 0 : tables.first_of(v, block);
  place.stride = place.channels = DeviceTables<S>::stride_of(tables.block(v, all ? 0 : block));
  place.rows = all ? tables.value(v).components : tables.block(v, block).components;
  return place;
}

/// A path between rows of two values; its channels without padding.
template <class S> DevicePath device_path(const plan::Path& path,
                                          plan::ValueId from,
                                          plan::ValueId to,
                                          const DeviceTables<S>& tables) {
  const LaneUnit source = place_of(from, path.source, tables);
  const LaneUnit out = place_of(to, path.out, tables);
  return {source.block,
          source.stride,
          source.rows,
          out.block + path.channel,
          out.stride,
          out.rows,
          path.channels,
          path.radial,
          path.entry};
}

/// Uploads everything but the paths.
template <class S> void
upload_couplings(const plan::Couplings& host, DeviceTables<S>& tables, DeviceEdgeProduct<S>& p) {
  using Scalar = typename S::Scalar;
  p.n_paths = static_cast<std::int32_t>(host.paths.size());
  p.harmonics = host.harmonics;
  p.harmonics_stride = tables.harmonics_stride();
  p.entries = host.entries;
  p.entries_stride = padded_channels<Scalar>(host.entries);
  p.coupling = tables.template array<Scalar>(
      "eqnn::path_coupling",
      pack<Scalar>(host.coupling, host.harmonics, host.entries, host.harmonics, p.entries_stride));
  p.adjoint = tables.template array<Scalar>(
      "eqnn::path_coupling_adjoint",
      pack<Scalar>(plan::transposed(host.coupling, host.harmonics, host.entries),
                   host.entries,
                   host.harmonics,
                   host.entries,
                   p.harmonics_stride));
}

/// Operands and adjoints of one edge, for all paths. Pointers into the tile's buffers and into
/// rows.
template <class Scalar> struct EdgeOperands {
  const Scalar *k, *w, *slope; ///< matrices, radial function and its derivative
  const Scalar *x, *adj_y;     ///< rows of the source and of the center's adjoint
  Scalar *adj_x, *adj_k;
};

/// The arrays of a stage, forward and in reverse.
template <class S> struct ProductArrays {
  DeviceEdges<S> edges;
  DeviceEdgeProduct<S> product;
  DeviceRadial<S> radial;
  Array<S, typename S::Scalar> harmonics; ///< [n_edges, harmonics_stride]
  Rows<typename S::Scalar> source, out;   ///< out: its adjoint, in reverse
};

/// Where the adjoint writes.
template <class S> struct ProductAdjoints {
  MessageAdjoints<S> messages;                   ///< of the sources
  Array<S, typename S::Scalar> adj_harmonics;    ///< [n_edges, harmonics_stride], added to
  Array<S, typename S::Accum> adj_distance;      ///< [n_edges], added to
  Array<S, typename S::Scalar> tangents = {};    ///< Context::tangents(), for stages that use them
  Array<S, typename S::Accum> adj_tangents = {}; ///< [n_edges, 2], added to
};

namespace host {

#ifdef EQNN_VECTOR_TYPES

template <class Scalar> using Vec = typename VectorOf<Scalar>::Type;

template <class Scalar> inline Vec<Scalar> load(const Scalar* p) {
  return *reinterpret_cast<const Vec<Scalar>*>(p);
}

template <class Scalar> inline FoldVector<Scalar> load_fold(const Scalar* p) {
  return *reinterpret_cast<const FoldVector<Scalar>*>(p);
}

/// Calls body(std::integral_constant<int, N>, first) for chunks of n, at most 9 each. The sizes of
/// degrees up to 4 are exact.
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

/// Some columns of a path: n edges, their matrices and weights, and the target of the sum.
template <class Scalar> struct PathColumns {
  int n;
  const Scalar* k;
  int k_pitch;
  const Scalar* w;
  int w_pitch;
  Scalar* out;
};

/// out[k, v] += sum over n edges of w x[i, v] K[i, k], for NV registers of channels starting at v.
template <int D3, int NV, class Scalar, class SourceOf>
inline void path_forward(const DevicePath& path,
                         const PathColumns<Scalar>& columns,
                         const SourceOf& source_of) {
  const auto [n, k, k_pitch, w, w_pitch, out] = columns;
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

/// Rows of one edge that path_adjoint takes at a time: as many as their sums fit in registers.
template <int D3> inline constexpr int kEntryRows =
    D3 * 4 <= (kVectorBytes == 64 ? 28 : 12) ? 3
                                             : (D3 * 3 <= (kVectorBytes == 64 ? 28 : 12) ? 2 : 1);

/// out[m] += sum over lanes of row[m], four at a time starting at First.
template <int D3, int First, class Scalar>
[[gnu::always_inline]] inline void fold_row(const Registers<Scalar, D3>& row, Scalar* out) {
  constexpr int kTogether = D3 - First < 4 ? D3 - First : 4;
  Registers<Scalar, kTogether> four{};
#pragma GCC unroll 4
  for (int k = 0; k < kTogether; ++k) {
    four.v[k] = row.v[First + k];
  }
  fold_lanes(four, out + First);
  if constexpr (First + kTogether < D3) {
    fold_row<D3, First + kTogether>(row, out);
  }
}

/// MI rows i of one edge, with t_i = sum_m K[i, m] adj_out[m]: adj_x_i += w t_i, and adj_entry[i,
/// m] += sum over channels of w x_i adj_out[m]. Returns slope times x_i t_i, lane by lane.
template <int D3, int MI, class Scalar>
inline FoldVector<Scalar> path_adjoint(const DevicePath& path, const EdgeOperands<Scalar>& at) {
  const auto [entry, w, slope, x, adj_out, adj_x, adj_entry] = at;
  FoldVector<Scalar> sum[MI][D3] = {};
  FoldVector<Scalar> total{};
  for (int c = 0; c < path.channels; c += kFoldLanes<Scalar>) {
    FoldVector<Scalar> y[D3];
#pragma GCC unroll 9
    for (int m = 0; m < D3; ++m) {
      y[m] = load_fold(adj_out + m * path.out_stride + c);
    }
    const FoldVector<Scalar> weight = load_fold(w + c);
    FoldVector<Scalar> adj_w{};
#pragma GCC unroll 3
    for (int i = 0; i < MI; ++i) {
      const Scalar* const k = entry + i * path.d3;
      const FoldVector<Scalar> left = load_fold(x + i * path.source_stride + c);
      const FoldVector<Scalar> scaled = left * weight;
      FoldVector<Scalar> t = k[0] * y[0];
      sum[i][0] += scaled * y[0];
#pragma GCC unroll 9
      for (int m = 1; m < D3; ++m) {
        t += k[m] * y[m];
        sum[i][m] += scaled * y[m];
      }
      adj_w += t * left;
      *reinterpret_cast<FoldVector<Scalar>*>(adj_x + i * path.source_stride + c) += weight * t;
    }
    total += adj_w * load_fold(slope + c);
  }
#pragma GCC unroll 3
  for (int i = 0; i < MI; ++i) {
    Registers<Scalar, D3> row{};
#pragma GCC unroll 9
    for (int m = 0; m < D3; ++m) {
      row.v[m] = sum[i][m];
    }
    fold_row<D3, 0>(row, adj_entry + i * path.d3);
  }
  return total;
}

#endif

} // namespace host

template <class S> KOKKOS_INLINE_FUNCTION typename S::Accum
edge_adjoint_plainly(const typename S::Team& team,
                     const DeviceEdgeProduct<S>& p,
                     const EdgeOperands<typename S::Scalar>& at) {
  using Scalar = typename S::Scalar;
  using Accum = typename S::Accum;
  Accum total = 0;
  for (int q = 0; q < p.n_paths; ++q) {
    const DevicePath path = p.paths(q);
    const Scalar* const weight = at.w + path.radial;
    const Scalar* const of_slope = at.slope + path.radial;
    for (int i = 0; i < path.d1; ++i) {
      const Scalar* const row = at.x + path.source + i * path.source_stride;
      Scalar* const adj_row = at.adj_x + path.source + i * path.source_stride;
      const Scalar* const entry = at.k + path.entry + i * path.d3;
      total += sum_channels<Accum>(team, 0, path.channels, [&](int c) {
        Scalar t = 0;
        for (int m = 0; m < path.d3; ++m) {
          t += entry[m] * at.adj_y[path.out + m * path.out_stride + c];
        }
        adj_row[c] += weight[c] * t;
        return static_cast<Accum>(row[c] * t * of_slope[c]);
      });
      for (int m = 0; m < path.d3; ++m) {
        const Scalar* const adj_out = at.adj_y + path.out + m * path.out_stride;
        const Scalar sum = sum_channels<Scalar>(
            team, 0, path.channels, [&](int c) { return weight[c] * row[c] * adj_out[c]; });
        once(team, [&]() { at.adj_k[path.entry + i * path.d3 + m] += sum; });
      }
    }
  }
  return total;
}

#ifdef EQNN_VECTOR_TYPES
template <class S>
typename S::Accum edge_adjoint_on_host(const typename S::Team&,
                                       const DeviceEdgeProduct<S>& p,
                                       const EdgeOperands<typename S::Scalar>& at) {
  using Scalar = typename S::Scalar;
  using Accum = typename S::Accum;
  host::FoldVector<Scalar> total{};
  for (int q = 0; q < p.n_paths; ++q) {
    const DevicePath& path = p.paths(q);
    host::for_chunks(path.d3, [&](auto size, int m) {
      constexpr int kSize = decltype(size)::value;
      const Scalar* const of_y = at.adj_y + path.out + m * path.out_stride;
      int i = 0;
      const auto run = [&](auto rows) {
        const int first = i * path.source_stride;
        const int entry = path.entry + i * path.d3 + m;
        const EdgeOperands<Scalar> rows_at{at.k + entry,
                                           at.w + path.radial,
                                           at.slope + path.radial,
                                           at.x + path.source + first,
                                           of_y,
                                           at.adj_x + path.source + first,
                                           at.adj_k + entry};
        total += host::path_adjoint<kSize, decltype(rows)::value>(path, rows_at);
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
  for (int lane = 0; lane < kFoldLanes<Scalar>; ++lane) {
    sum += static_cast<Accum>(total[lane]);
  }
  return sum;
}
#endif

/// All paths of one edge; returns the adjoint of its distance.
template <class S> KOKKOS_FORCEINLINE_FUNCTION typename S::Accum
edge_adjoint(const typename S::Team& team,
             const DeviceEdgeProduct<S>& p,
             const EdgeOperands<typename S::Scalar>& at) {
#ifdef EQNN_VECTOR_TYPES
  EQNN_IF_ON_HOST((return edge_adjoint_on_host<S>(team, p, at);))
#else
  EQNN_IF_ON_HOST((return edge_adjoint_plainly<S>(team, p, at);))
#endif
  EQNN_IF_ON_DEVICE((return edge_adjoint_plainly<S>(team, p, at);))
}

} // namespace eqnn::kernels
