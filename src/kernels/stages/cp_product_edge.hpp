// SPDX-License-Identifier: BSD-3-Clause
// The inner loops of stages/cp_product.hpp.
#pragma once

#include "kernels/edge_sums.hpp"
#include "kernels/stages/edge_product_paths.hpp"

namespace eqnn::kernels {

/// Whether dE/d(direction) is computed along two tangents of the sphere. This takes two sums over
/// channels per edge instead of one per factor. Where registers are folded fast, the sums per
/// factor are cheaper.
template <class S> inline constexpr bool kByTangents =
#ifdef EQNN_VECTOR_TYPES
    !S::kOnHost;
#else
    true;
#endif

template <class S> struct DeviceCp {
  std::int32_t rank = 0, rank_stride = 0;
  std::int32_t harmonics = 0, harmonics_stride = 0;
  std::int32_t components = 0;                   ///< of the source
  bool is_mixed = true;                          ///< the source already holds the factors
  Array<S, typename S::Scalar> harmonic;         ///< [harmonics; rank], packed
  Array<S, typename S::Scalar> harmonic_adjoint; ///< [rank; harmonics], packed
  Array<S, typename S::Scalar> mix;              ///< [rank, components]
  Array<S, typename S::Scalar> mix_adjoint;      ///< [components, rank]
  std::int32_t tile_edges = 0;
  std::int32_t slots = 0; ///< edges whose factors exist at the same time
};

/// The arrays of the stage, forward and in reverse.
template <class S> struct CpArrays {
  DeviceEdges<S> edges;
  DeviceCp<S> product;
  DeviceRadial<S> radial;
  Array<S, typename S::Scalar> harmonics; ///< [n_edges, harmonics_stride]
  Rows<typename S::Scalar> source, out;   ///< out: its adjoint, in reverse
};

/// The operands of some edges of a center, and their sum.
template <class Scalar> struct CpSums {
  int rank, stride;
  const Scalar* w; ///< [edge, stride]
  const Scalar* b; ///< [edge, b_pitch]
  std::int64_t b_pitch;
  Scalar* out; ///< [rank, stride]
};

/// Pointers of one edge; adj_a is written.
template <class Scalar> struct CpEdge {
  int rank, stride;
  const Scalar *w, *slope; ///< [stride]
  const Scalar* b;         ///< [rank]
  const Scalar *a, *adj_out;
  Scalar* adj_a; ///< [rank, stride]
};

#ifdef EQNN_VECTOR_TYPES
namespace host {

/// out[m] += sum over n edges of b[m] w a[m], for M rows starting at `row` and NV registers of
/// channels starting at c.
template <int M, int NV, class Scalar, class Source> inline void
cp_forward(const CpSums<Scalar>& at, std::int64_t n, const Source& source_of, int row, int c) {
  Vec<Scalar> sum[M][NV] = {};
  for (std::int64_t e = 0; e < n; ++e) {
    const Scalar* const a = source_of(e) + std::int64_t{row} * at.stride + c;
    const Scalar* const b = at.b + e * at.b_pitch + row;
    Vec<Scalar> w[NV];
    for (int v = 0; v < NV; ++v) {
      w[v] = load(at.w + e * at.stride + c + v * kLanes<Scalar>);
    }
#pragma GCC unroll 9
    for (int m = 0; m < M; ++m) {
      for (int v = 0; v < NV; ++v) {
        sum[m][v] += b[m] * w[v] * load(a + m * at.stride + v * kLanes<Scalar>);
      }
    }
  }
#pragma GCC unroll 9
  for (int m = 0; m < M; ++m) {
    for (int v = 0; v < NV; ++v) {
      *reinterpret_cast<Vec<Scalar>*>(at.out + std::int64_t{row + m} * at.stride + c +
                                      v * kLanes<Scalar>) += sum[m][v];
    }
  }
}

/// M rows of one edge: adj_a = w b adj_out, adj_b = sum over channels of w a adj_out. Returns slope
/// times b a adj_out, lane by lane.
template <int M, class Scalar>
inline FoldVector<Scalar> cp_adjoint(const CpEdge<Scalar>& at, int row, Scalar* adj_b) {
  Registers<Scalar, M> sum{};
  FoldVector<Scalar> total{};
  const std::int64_t first = std::int64_t{row} * at.stride;
  for (int c = 0; c < at.stride; c += kFoldLanes<Scalar>) {
    const FoldVector<Scalar> w = load_fold(at.w + c);
    FoldVector<Scalar> adj_w{};
#pragma GCC unroll 9
    for (int m = 0; m < M; ++m) {
      const std::int64_t k = first + m * at.stride + c;
      const FoldVector<Scalar> y = load_fold(at.adj_out + k);
      const FoldVector<Scalar> by = at.b[row + m] * y;
      const FoldVector<Scalar> a = load_fold(at.a + k);
      adj_w += by * a;
      sum.v[m] += w * y * a;
      *reinterpret_cast<FoldVector<Scalar>*>(at.adj_a + k) = w * by;
    }
    total += adj_w * load_fold(at.slope + c);
  }
  for (int m = 0; m < M; ++m) {
    adj_b[row + m] = 0;
  }
  fold_row<M, 0>(sum, adj_b + row);
  return total;
}

} // namespace host

/// The adjoint of one edge on the host: writes adj_a and adj_b, returns the adjoint of the
/// distance.
template <class Accum, class Scalar> Accum cp_adjoint(const CpEdge<Scalar>& at, Scalar* adj_b) {
  host::FoldVector<Scalar> total{};
  host::for_chunks(at.rank, [&](auto size, int row) {
    total += host::cp_adjoint<decltype(size)::value>(at, row, adj_b);
  });
  Accum sum = 0;
  for (int lane = 0; lane < kFoldLanes<Scalar>; ++lane) {
    sum += static_cast<Accum>(total[lane]);
  }
  return sum;
}
#endif

/// out[r, c] += sum over n edges of w[c] b[r] a[r, c]; source_of(e): a of an edge.
template <class Team, class Scalar, class Source> KOKKOS_FORCEINLINE_FUNCTION void
add_products(const Team& team, const CpSums<Scalar>& at, std::int64_t n, const Source& source_of) {
#ifdef EQNN_VECTOR_TYPES
  EQNN_IF_ON_HOST((static_cast<void>(team); host::for_chunks(
                       at.rank,
                       [&](auto size, int row) {
                         constexpr int kRows = decltype(size)::value;
                         int c = 0;
                         for (; c + 2 * kLanes<Scalar> <= at.stride; c += 2 * kLanes<Scalar>) {
                           host::cp_forward<kRows, 2>(at, n, source_of, row, c);
                         }
                         for (; c < at.stride; c += kLanes<Scalar>) {
                           host::cp_forward<kRows, 1>(at, n, source_of, row, c);
                         }
                       });
                   return;))
#endif
  for_rows(team, at.rank, [&](std::int64_t r) {
    for_channels(team, at.stride, [&](int c) {
      Scalar sum = 0;
      for (std::int64_t e = 0; e < n; ++e) {
        sum += at.b[e * at.b_pitch + r] * at.w[e * at.stride + c] * source_of(e)[r * at.stride + c];
      }
      at.out[r * at.stride + c] += sum;
    });
  });
}

/// The adjoint of one edge by tangents: writes adj_a, returns the sums for distance and direction.
/// first, second: B^T dY along the tangents, [rank].
template <class Accum, class Team, class Scalar>
KOKKOS_FORCEINLINE_FUNCTION EdgeSums<Accum> cp_adjoint_by_tangents(const Team& team,
                                                                   const CpEdge<Scalar>& at,
                                                                   const Scalar* first,
                                                                   const Scalar* second) {
  EdgeSums<Accum> total;
  Kokkos::parallel_reduce(
      Kokkos::ThreadVectorRange(team, at.stride),
      [&](int c, EdgeSums<Accum>& sums) {
        Scalar adj_w = 0, along_first = 0, along_second = 0;
        for (int r = 0; r < at.rank; ++r) {
          const std::int64_t k = std::int64_t{r} * at.stride + c;
          const Scalar y = at.adj_out[k];
          const Scalar product = y * at.a[k];
          adj_w += at.b[r] * product;
          along_first += first[r] * product;
          along_second += second[r] * product;
          at.adj_a[k] = at.w[c] * at.b[r] * y;
        }
        sums.distance += static_cast<Accum>(at.slope[c] * adj_w);
        sums.first += static_cast<Accum>(at.w[c] * along_first);
        sums.second += static_cast<Accum>(at.w[c] * along_second);
      },
      total);
  return total;
}

} // namespace eqnn::kernels
