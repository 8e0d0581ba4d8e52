// SPDX-License-Identifier: BSD-3-Clause
// Small matrix products inside a team: a tile of edges or nodes times weights. The host uses the
// register kernel of host_multiply.hpp; on a device, lanes are columns.
#pragma once

#include "kernels/host_multiply.hpp"

#include <cstdint>

namespace eqnn::kernels {

/// Unit of work in a loop over channels: a scalar on a device ...
template <class Scalar> struct Lane {
  using Type = Scalar;

  static KOKKOS_FORCEINLINE_FUNCTION Scalar load(const Scalar* p) { return *p; }

  static KOKKOS_FORCEINLINE_FUNCTION void store(Scalar* p, Scalar v) { *p = v; }

  static KOKKOS_FORCEINLINE_FUNCTION void add(Scalar* p, Scalar v) { *p += v; }

  /// Offset of value k of channel c in scratch that holds each value as `stride` scalars.
  static KOKKOS_FORCEINLINE_FUNCTION std::int64_t slot(std::int64_t k, int c, int stride) {
    return k * stride + c;
  }
};

#ifdef EQNN_VECTOR_TYPES
/// ... N SIMD registers on the host, so that a decision about a term is made once for all of them.
template <class Scalar, int N> struct WideLane {
  using Vector = typename host::VectorOf<Scalar>::Type;

  struct Type {
    Vector v[N];

    friend Type operator*(const Type& a, const Type& b) {
      Type c{};
#pragma GCC unroll 4
      for (int k = 0; k < N; ++k) {
        c.v[k] = a.v[k] * b.v[k];
      }
      return c;
    }

    friend Type operator*(Scalar a, const Type& b) {
      Type c{};
#pragma GCC unroll 4
      for (int k = 0; k < N; ++k) {
        c.v[k] = a * b.v[k];
      }
      return c;
    }

    Type& operator*=(const Type& b) { return *this = *this * b; }

    Type& operator+=(const Type& b) {
#pragma GCC unroll 4
      for (int k = 0; k < N; ++k) {
        v[k] += b.v[k];
      }
      return *this;
    }
  };

  static Type load(const Scalar* p) {
    Type a{};
#pragma GCC unroll 4
    for (int k = 0; k < N; ++k) {
      a.v[k] = *reinterpret_cast<const Vector*>(p + k * kLanes<Scalar>);
    }
    return a;
  }

  static void store(Scalar* p, const Type& a) {
#pragma GCC unroll 4
    for (int k = 0; k < N; ++k) {
      *reinterpret_cast<Vector*>(p + k * kLanes<Scalar>) = a.v[k];
    }
  }

  static void add(Scalar* p, const Type& a) {
#pragma GCC unroll 4
    for (int k = 0; k < N; ++k) {
      *reinterpret_cast<Vector*>(p + k * kLanes<Scalar>) += a.v[k];
    }
  }

  static std::int64_t slot(std::int64_t k, int, int) { return k * N * kLanes<Scalar>; }
};

namespace host {

template <class Scalar, int Together, class Body> inline void for_lanes(int n, const Body& body) {
  int c = 0;
  for (; c + Together * kLanes<Scalar> <= n; c += Together * kLanes<Scalar>) {
    body(c, WideLane<Scalar, Together>{});
  }
  for (; c < n; c += kLanes<Scalar>) {
    body(c, WideLane<Scalar, 1>{});
  }
}

} // namespace host
#endif

/// Calls body(c, lane) for channels c < n, where n is a multiple of kLanes. The host takes
/// `Together` registers at a time while enough channels remain.
template <class Scalar, int Together = 4, class Team, class Body>
KOKKOS_FORCEINLINE_FUNCTION void for_lanes(const Team& team, int n, const Body& body) {
#ifdef EQNN_VECTOR_TYPES
  EQNN_IF_ON_HOST((static_cast<void>(team); host::for_lanes<Scalar, Together>(n, body);))
#else
  EQNN_IF_ON_HOST(
      (static_cast<void>(team); for (int c = 0; c < n; ++c) { body(c, Lane<Scalar>{}); }))
#endif
  EQNN_IF_ON_DEVICE((Kokkos::parallel_for(Kokkos::ThreadVectorRange(team, n),
                                          [&](int c) { body(c, Lane<Scalar>{}); });))
}

namespace device {

/// Most rows of the left operand that a thread takes at a time. Each element that it reads of the
/// right operand serves this many products.
inline constexpr int kMostRows = 8;
/// Elements of a row that are read at once if they are contiguous.
inline constexpr int kTogether = 4;

template <class Scalar> struct alignas(kTogether * sizeof(Scalar)) Together {
  Scalar v[kTogether];
};

/// Column j of `Rows` rows of a product, starting at row r. Joined: rows of the left operand can be
/// read kTogether elements at a time.
template <bool Accumulate, bool Joined, int Rows, class Scalar>
KOKKOS_FORCEINLINE_FUNCTION void column(std::int64_t r,
                                        int j,
                                        std::int64_t depth,
                                        const Left<Scalar>& a,
                                        const Right<Scalar>& b,
                                        const Target<Scalar>& to) {
  const Scalar* const left = a.data + r * a.row;
  const Scalar* const right = b.data + j / kPanel<Scalar> * b.panel + j % kPanel<Scalar>;
  Scalar* const c = to.data + r * to.row + j;
  Scalar sum[Rows];
  for (int k = 0; k < Rows; ++k) {
    sum[k] = Accumulate ? c[k * to.row] : Scalar(0);
  }
  std::int64_t at = 0;
  if constexpr (Joined) {
    for (; at + kTogether <= depth; at += kTogether) {
      Scalar factor[kTogether];
      for (int d = 0; d < kTogether; ++d) {
        factor[d] = right[(at + d) * b.row];
      }
      for (int k = 0; k < Rows; ++k) {
        const auto x = *reinterpret_cast<const Together<Scalar>*>(left + k * a.row + at);
        for (int d = 0; d < kTogether; ++d) {
          sum[k] += x.v[d] * factor[d];
        }
      }
    }
  }
  for (; at < depth; ++at) {
    const Scalar factor = right[at * b.row];
    for (int k = 0; k < Rows; ++k) {
      sum[k] += left[k * a.row + at * a.column] * factor;
    }
  }
  for (int k = 0; k < Rows; ++k) {
    c[k * to.row] = sum[k];
  }
}

/// Rows and columns of a product that one thread computes.
struct Block {
  std::int64_t row;
  int rows;
  int column, columns;
};

template <bool Accumulate, int Rows, class Team, class Scalar>
KOKKOS_FORCEINLINE_FUNCTION void columns(const Team& team,
                                         const Block& block,
                                         std::int64_t depth,
                                         const Left<Scalar>& a,
                                         const Right<Scalar>& b,
                                         const Target<Scalar>& to) {
  const bool joined = a.column == 1 && a.row % kTogether == 0 &&
                      reinterpret_cast<std::uintptr_t>(a.data) % sizeof(Together<Scalar>) == 0;
  for_channels(team, block.columns, [&](int c) {
    const int j = block.column + c;
    if (joined) {
      column<Accumulate, true, Rows>(block.row, j, depth, a, b, to);
    } else {
      column<Accumulate, false, Rows>(block.row, j, depth, a, b, to);
    }
  });
}

/// Threads share out blocks of rows times panels of one warp's columns. The blocks have as many
/// rows as leave no thread idle.
template <bool Accumulate, class Team, class Scalar>
KOKKOS_FORCEINLINE_FUNCTION void multiply(const Team& team,
                                          const Extents& extents,
                                          const Left<Scalar>& a,
                                          const Right<Scalar>& b,
                                          const Target<Scalar>& to) {
  const std::int64_t panels = (extents.columns + kWarp - 1) / kWarp;
  int per = kMostRows;
  while (per > 1 && (extents.rows + per - 1) / per * panels < team.team_size()) {
    per /= 2;
  }
  const std::int64_t full = extents.rows / per;
  const std::int64_t row_blocks = full + extents.rows % per; // remaining rows go one by one
  for_rows(team, row_blocks * panels, [&](std::int64_t k) {
    const std::int64_t of_rows = k / panels;
    const int first = static_cast<int>(k - of_rows * panels) * kWarp;
    const int n = extents.columns - first < kWarp ? extents.columns - first : kWarp;
    const Block block = of_rows < full ? Block{of_rows * per, per, first, n}
                                       : Block{full * per + of_rows - full, 1, first, n};
    switch (block.rows) {
    case 8:
      return columns<Accumulate, 8>(team, block, extents.depth, a, b, to);
    case 4:
      return columns<Accumulate, 4>(team, block, extents.depth, a, b, to);
    case 2:
      return columns<Accumulate, 2>(team, block, extents.depth, a, b, to);
    default:
      return columns<Accumulate, 1>(team, block, extents.depth, a, b, to);
    }
  });
  team.team_barrier();
}

} // namespace device

/// c[m, n] = a[m, depth] b[depth, n], or += if Accumulate. Ends with a team barrier.
template <bool Accumulate, class Team, class Scalar>
KOKKOS_FORCEINLINE_FUNCTION void multiply(const Team& team,
                                          const Extents& extents,
                                          const Left<Scalar>& a,
                                          const Right<Scalar>& b,
                                          const Target<Scalar>& to) {
  EQNN_IF_ON_HOST((static_cast<void>(team); host::multiply<Accumulate>(extents, a, b, to);))
  EQNN_IF_ON_DEVICE((device::multiply<Accumulate>(team, extents, a, b, to);))
}

/// The rows that edge matrices are applied to, [n_edges, d, stride].
template <class Scalar> struct EdgeRows {
  const Scalar* data;
  std::int64_t pitch; ///< from edge to edge; 0: all edges share the same rows
};

/// out[e, k] = sum_i M_e[i, k] x[e, i], or M_e[k, i] if Transposed, for n edges and the rows k <
/// of_edge.rows. M: [n, d, d], out: [n, d, stride]. Ends with a team barrier.
template <bool Transposed, class Team, class Scalar>
KOKKOS_FORCEINLINE_FUNCTION void apply_matrices(const Team& team,
                                                std::int64_t n,
                                                const Extents& of_edge,
                                                const Scalar* matrix,
                                                const EdgeRows<Scalar>& x,
                                                Scalar* out) {
  const std::int64_t d = of_edge.depth;
  const std::int64_t stride = of_edge.columns;
  EQNN_IF_ON_HOST((for (std::int64_t e = 0; e < n; ++e) {
    multiply<false>(team,
                    of_edge,
                    Left<Scalar>{matrix + e * d * d, Transposed ? d : 1, Transposed ? 1 : d},
                    row_major(x.data + e * x.pitch, stride),
                    Target<Scalar>{out + e * d * stride, stride});
  }))
  EQNN_IF_ON_DEVICE((for_rows(team,
                              n * of_edge.rows,
                              [&](std::int64_t row) {
                                const std::int64_t e = row / of_edge.rows;
                                const std::int64_t k = row - e * of_edge.rows;
                                const Scalar* const of_row =
                                    matrix + e * d * d + k * (Transposed ? d : 1);
                                const Scalar* const from = x.data + e * x.pitch;
                                Scalar* const to = out + (e * d + k) * stride;
                                for_channels(team, static_cast<int>(stride), [&](int c) {
                                  Scalar sum = 0;
                                  for (std::int64_t i = 0; i < d; ++i) {
                                    sum += of_row[i * (Transposed ? 1 : d)] * from[i * stride + c];
                                  }
                                  to[c] = sum;
                                });
                              });
                     team.team_barrier();))
}

/// out[i * columns + k] += sum over c of x[i, c] y[k, c]: the adjoint of an edge's matrix. Called
/// inside for_rows, one edge per row. The host keeps partial sums over the channels (depth) in
/// registers and folds their lanes at the end.
template <class Team, class Scalar> KOKKOS_FORCEINLINE_FUNCTION void
add_outer(const Team& team, const Extents& extents, const OuterFactors<Scalar>& of, Scalar* out) {
#ifdef EQNN_VECTOR_TYPES
  EQNN_IF_ON_HOST((static_cast<void>(team); host::add_outer(extents, of, out);))
#else
  EQNN_IF_ON_HOST((static_cast<void>(team); for (int i = 0; i < extents.rows; ++i) {
    for (int k = 0; k < extents.columns; ++k) {
      Scalar sum = 0;
      for (std::int64_t c = 0; c < extents.depth; ++c) {
        sum += of.x[i * of.x_row + c] * of.y[k * of.y_row + c];
      }
      out[i * extents.columns + k] += sum;
    }
  }))
#endif
  // Each lane owns an entry, so there is no sum over lanes.
  EQNN_IF_ON_DEVICE((for_channels(team, extents.rows * extents.columns, [&](int entry) {
                       const int i = entry / extents.columns;
                       const Scalar* const x = of.x + i * of.x_row;
                       const Scalar* const y = of.y + (entry - i * extents.columns) * of.y_row;
                       Scalar sum = 0;
                       for (std::int64_t c = 0; c < extents.depth; ++c) {
                         sum += x[c] * y[c];
                       }
                       out[entry] += sum;
                     });))
}

} // namespace eqnn::kernels
