// SPDX-License-Identifier: BSD-3-Clause
// Small matrix products inside a team: a tile of edges or nodes times weights. On the host a
// register kernel at the machine's speed (GCC and Clang vector types: the compiler's own register
// allocation, any instruction set); on a device a plain nested loop.
#pragma once

#include "kernels/types.hpp"

namespace eqnn::kernels {

/// The left operand: element (r, k) is data[r * row + k * column].
template <class Scalar> struct Left {
  const Scalar* data;
  std::int64_t row;
  std::int64_t column;
};

/// The right operand, in panels of kPanel columns: element (k, n) is data[(n / kPanel) * panel + k
/// * row + n % kPanel].
template <class Scalar> struct Right {
  const Scalar* data;
  std::int64_t row;
  std::int64_t panel;
};

/// A row-major matrix as a right operand: panel after panel side by side.
template <class Scalar>
KOKKOS_INLINE_FUNCTION Right<Scalar> row_major(const Scalar* data, std::int64_t stride) {
  return {data, stride, kPanel<Scalar>};
}

/// Number of scalars of a [n_rows, n_columns] matrix packed in panels.
template <class Scalar>
constexpr std::int64_t packed_size(std::int64_t n_rows, std::int64_t n_columns) {
  return (n_columns + kPanel<Scalar> - 1) / kPanel<Scalar> * kPanel<Scalar> * n_rows;
}

/// A matrix packed in panels, each contiguous: the register kernel reads it front to back.
template <class Scalar>
KOKKOS_INLINE_FUNCTION Right<Scalar> packed(const Scalar* data, std::int64_t n_rows) {
  return {data, kPanel<Scalar>, kPanel<Scalar> * n_rows};
}

/// Rows and columns of a product, and how many terms each sum has. Columns are a multiple of kLanes.
struct Extents {
  int rows = 0;
  int columns = 0;
  std::int64_t depth = 0;
};

/// Where a product goes: element (r, n) is data[r * row + n].
template <class Scalar> struct Target {
  Scalar* data;
  std::int64_t row;
};

/// Rows x[i] and y[k] of channels, of which all pairs are multiplied.
template <class Scalar> struct OuterFactors {
  const Scalar* x;
  std::int64_t x_row;
  const Scalar* y;
  std::int64_t y_row;
};

namespace host {

#if defined(__GNUC__) && !defined(__CUDACC__) && !defined(EQNN_DEVICE_BRANCH)
#define EQNN_VECTOR_TYPES 1
/// Unaligned SIMD register that may alias its scalars.
template <class Scalar> struct VectorOf;

template <> struct VectorOf<float> {
  using Type __attribute__((vector_size(kVectorBytes), aligned(sizeof(float)), may_alias)) = float;
};

template <> struct VectorOf<double> {
  using Type __attribute__((vector_size(kVectorBytes), aligned(sizeof(double)), may_alias)) =
      double;
};

/// c[MR, NV registers] (+)= a b. All sums run over k in order, so a row's result does not depend on
/// the tile that it is in.
template <int MR, int NV, bool Accumulate, class Scalar>
inline void register_kernel(std::int64_t depth,
                            const Left<Scalar>& a,
                            const Scalar* b,
                            std::int64_t b_row,
                            const Target<Scalar>& to) {
  Scalar* const c = to.data;
  const std::int64_t c_row = to.row;
  using Vector = typename VectorOf<Scalar>::Type;
  constexpr int kWide = kLanes<Scalar>;
  Vector sum[MR][NV];
#pragma GCC unroll 16
  for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v) {
      if constexpr (Accumulate) {
        sum[r][v] = *reinterpret_cast<const Vector*>(c + r * c_row + v * kWide);
      } else {
        sum[r][v] = Vector{};
      }
    }
  }
  const Scalar* left = a.data;
  for (std::int64_t k = 0; k < depth; ++k) {
    Vector right[NV];
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v) {
      right[v] = *reinterpret_cast<const Vector*>(b + v * kWide);
    }
#pragma GCC unroll 16
    for (int r = 0; r < MR; ++r) {
      const Scalar x = left[r * a.row];
#pragma GCC unroll 2
      for (int v = 0; v < NV; ++v) {
        sum[r][v] += x * right[v];
      }
    }
    left += a.column;
    b += b_row;
  }
#pragma GCC unroll 16
  for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v) {
      *reinterpret_cast<Vector*>(c + r * c_row + v * kWide) = sum[r][v];
    }
  }
}

/// One panel: full blocks of kRegisterRows rows, then what is left.
template <int NV, bool Accumulate, int MR, class Scalar> inline void panel_rows(int m,
                                                                                std::int64_t depth,
                                                                                Left<Scalar> a,
                                                                                const Scalar* b,
                                                                                std::int64_t b_row,
                                                                                Target<Scalar> to) {
  while (m >= MR) {
    register_kernel<MR, NV, Accumulate>(depth, a, b, b_row, to);
    a.data += MR * a.row;
    to.data += MR * to.row;
    m -= MR;
  }
  if constexpr (MR > 1) {
    if (m > 0) {
      panel_rows<NV, Accumulate, MR - 1>(m, depth, a, b, b_row, to);
    }
  }
}
#endif

#ifdef EQNN_VECTOR_TYPES
/// Shuffle of lanes by index; indices from kLanes on mean the second register.
template <class Scalar, class Index>
inline typename VectorOf<Scalar>::Type shuffle(const typename VectorOf<Scalar>::Type& a,
                                               const typename VectorOf<Scalar>::Type& b,
                                               const Index& index) {
  using Integer = std::conditional_t<sizeof(Scalar) == 4, std::int32_t, std::int64_t>;
  using Mask __attribute__((vector_size(kVectorBytes))) = Integer;
  Mask mask{};
  for (int lane = 0; lane < kLanes<Scalar>; ++lane) {
    mask[lane] = index(lane);
  }
  return __builtin_shuffle(a, b, mask);
}

template <class Scalar, int N> struct Registers {
  typename VectorOf<Scalar>::Type v[N];
};

/// out[k] += sum over lanes of sum[k] for k < N <= 4. Four registers are folded together: a third of
/// the work of one at a time. By value: sums whose address is given away would live in memory, in the
/// loop before this call too.
template <int N, class Scalar>
[[gnu::always_inline]] inline void fold_lanes(const Registers<Scalar, N>& sums, Scalar* out) {
  const auto& sum = sums.v;
  using Vector = typename VectorOf<Scalar>::Type;
  constexpr int kWide = kLanes<Scalar>;
  if constexpr (kWide < 4) {
    for (int k = 0; k < N; ++k) {
      for (int lane = 0; lane < kWide; ++lane) {
        out[k] += sum[k][lane];
      }
    }
  } else {
    const auto of = [&](int k) { return k < N ? sum[k < N ? k : 0] : Vector{}; };
    const auto even = [](int lane) { return lane / 2 * 2 + (lane % 2) * kWide; };
    const auto odd = [](int lane) { return lane / 2 * 2 + 1 + (lane % 2) * kWide; };
    const Vector ab = shuffle<Scalar>(of(0), of(1), even) + shuffle<Scalar>(of(0), of(1), odd);
    const Vector cd = shuffle<Scalar>(of(2), of(3), even) + shuffle<Scalar>(of(2), of(3), odd);
    const auto low = [](int lane) { return lane / 4 * 4 + lane % 2 + (lane / 2 % 2) * kWide; };
    const auto high = [](int lane) { return lane / 4 * 4 + 2 + lane % 2 + (lane / 2 % 2) * kWide; };
    Vector total = shuffle<Scalar>(ab, cd, low) + shuffle<Scalar>(ab, cd, high);
    for (int width = kWide / 2; width >= 4; width /= 2) {
      total += shuffle<Scalar>(total, total, [width](int lane) { return (lane + width) % kWide; });
    }
    for (int k = 0; k < N; ++k) {
      out[k] += total[k];
    }
  }
}

template <int MI, int MK, class Scalar>
inline void outer_block(int n, int channels, const OuterFactors<Scalar>& of, Scalar* out) {
  const auto [x, x_row, y, y_row] = of;
  using Vector = typename VectorOf<Scalar>::Type;
  Vector sum[MI][MK] = {};
  for (int c = 0; c < channels; c += kLanes<Scalar>) {
    Vector right[MK];
#pragma GCC unroll 4
    for (int k = 0; k < MK; ++k) {
      right[k] = *reinterpret_cast<const Vector*>(y + k * y_row + c);
    }
#pragma GCC unroll 4
    for (int i = 0; i < MI; ++i) {
      const Vector left = *reinterpret_cast<const Vector*>(x + i * x_row + c);
#pragma GCC unroll 4
      for (int k = 0; k < MK; ++k) {
        sum[i][k] += left * right[k];
      }
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < MI; ++i) {
    Registers<Scalar, MK> row{};
#pragma GCC unroll 4
    for (int k = 0; k < MK; ++k) {
      row.v[k] = sum[i][k];
    }
    fold_lanes(row, out + i * n);
  }
}

template <int MI, class Scalar>
inline void outer_rows(int n, int channels, OuterFactors<Scalar> of, Scalar* out) {
  int k = 0;
  for (; k + 4 <= n; k += 4) {
    outer_block<MI, 4>(n, channels, of, out + k);
    of.y += 4 * of.y_row;
  }
  for (; k < n; ++k) {
    outer_block<MI, 1>(n, channels, of, out + k);
    of.y += of.y_row;
  }
}

template <class Scalar>
inline void add_outer(const Extents& extents, OuterFactors<Scalar> of, Scalar* out) {
  const int n = extents.columns;
  const int channels = static_cast<int>(extents.depth);
  int i = 0;
  for (; i + 3 <= extents.rows; i += 3) {
    outer_rows<3>(n, channels, of, out + i * n);
    of.x += 3 * of.x_row;
  }
  for (; i < extents.rows; ++i) {
    outer_rows<1>(n, channels, of, out + i * n);
    of.x += of.x_row;
  }
}
#endif

template <bool Accumulate, class Scalar> inline void multiply(const Extents& extents,
                                                              const Left<Scalar>& a,
                                                              const Right<Scalar>& b,
                                                              const Target<Scalar>& to) {
  const auto [m, n, depth] = extents;
#ifdef EQNN_VECTOR_TYPES
  for (int first = 0; first < n; first += kPanel<Scalar>) {
    const Scalar* const panel = b.data + first / kPanel<Scalar> * b.panel;
    if (n - first >= kPanel<Scalar>) {
      panel_rows<2, Accumulate, kRegisterRows>(
          m, depth, a, panel, b.row, Target<Scalar>{to.data + first, to.row});
    } else {
      panel_rows<1, Accumulate, kRegisterRows>(
          m, depth, a, panel, b.row, Target<Scalar>{to.data + first, to.row});
    }
  }
#else
  for (int r = 0; r < m; ++r) {
    for (int first = 0; first < n; first += kLanes<Scalar>) {
      Scalar sum[kLanes<Scalar>];
      const Scalar* right = b.data + first / kPanel<Scalar> * b.panel + first % kPanel<Scalar>;
      for (int v = 0; v < kLanes<Scalar>; ++v) {
        sum[v] = Accumulate ? to.data[r * to.row + first + v] : Scalar(0);
      }
      for (std::int64_t k = 0; k < depth; ++k) {
        for (int v = 0; v < kLanes<Scalar>; ++v) {
          sum[v] += a.data[r * a.row + k * a.column] * right[k * b.row + v];
        }
      }
      for (int v = 0; v < kLanes<Scalar>; ++v) {
        to.data[r * to.row + first + v] = sum[v];
      }
    }
  }
#endif
}

} // namespace host

/// What a loop over channels works on at a time: a scalar on a device ...
template <class Scalar> struct Lane {
  using Type = Scalar;

  static KOKKOS_FORCEINLINE_FUNCTION Scalar load(const Scalar* p) { return *p; }

  static KOKKOS_FORCEINLINE_FUNCTION void store(Scalar* p, Scalar v) { *p = v; }

  static KOKKOS_FORCEINLINE_FUNCTION void add(Scalar* p, Scalar v) { *p += v; }

  /// Where value k of channel c is in scratch of values times stride scalars.
  static KOKKOS_FORCEINLINE_FUNCTION std::int64_t slot(std::int64_t k, int c, int stride) {
    return k * stride + c;
  }
};

#ifdef EQNN_VECTOR_TYPES
/// ... N SIMD registers on the host: what is decided for a term is decided for all of them.
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

/// Calls body(c, lane) for channels c of n, a multiple of kLanes; on the host for Together registers at
/// a time where there are so many.
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

/// Rows of the left operand that a thread takes at a time: each element of the right one that it reads
/// serves so many products.
inline constexpr int kRows = 4;

/// Column j of Rows rows of a product, from row r on.
template <bool Accumulate, int Rows, class Scalar>
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
  for (std::int64_t at = 0; at < depth; ++at) {
    const Scalar factor = right[at * b.row];
    for (int k = 0; k < Rows; ++k) {
      sum[k] += left[k * a.row + at * a.column] * factor;
    }
  }
  for (int k = 0; k < Rows; ++k) {
    c[k * to.row] = sum[k];
  }
}

template <bool Accumulate, class Team, class Scalar>
KOKKOS_FORCEINLINE_FUNCTION void multiply(const Team& team,
                                          const Extents& extents,
                                          const Left<Scalar>& a,
                                          const Right<Scalar>& b,
                                          const Target<Scalar>& to) {
  // Few rows are shared out one by one, so that all threads have some.
  const int blocks = extents.rows >= 2 * kRows * team.team_size() ? extents.rows / kRows : 0;
  for_rows(team, blocks + extents.rows - blocks * kRows, [&](std::int64_t block) {
    for_channels(team, extents.columns, [&](int j) {
      if (block < blocks) {
        column<Accumulate, kRows>(block * kRows, j, extents.depth, a, b, to);
      } else {
        column<Accumulate, 1>(block + blocks * (kRows - 1), j, extents.depth, a, b, to);
      }
    });
  });
  team.team_barrier();
}

} // namespace device

/// c[m, n] = a[m, depth] b[depth, n], or += where Accumulate. Ends with a barrier of the team.
template <bool Accumulate, class Team, class Scalar>
KOKKOS_FORCEINLINE_FUNCTION void multiply(const Team& team,
                                          const Extents& extents,
                                          const Left<Scalar>& a,
                                          const Right<Scalar>& b,
                                          const Target<Scalar>& to) {
  EQNN_IF_ON_HOST((static_cast<void>(team); host::multiply<Accumulate>(extents, a, b, to);))
  EQNN_IF_ON_DEVICE((device::multiply<Accumulate>(team, extents, a, b, to);))
}

/// Rows that an edge's matrix is applied to, [n_edges, d, stride] each.
template <class Scalar> struct EdgeRows {
  const Scalar* data;
  std::int64_t pitch; ///< from edge to edge; 0: the same rows for all
};

/// out[e, k] = sum_i M_e[i, k] x[e, i], or of M_e[k, i] where `transposed`, for n edges and the first
/// n_rows rows k. M: [n, d, d], out: [n, d, stride]. Ends with a barrier of the team.
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

/// out[i * columns + k] += sum over c of x[i, c] y[k, c]: the adjoint of an edge's matrix. One row of the
/// team (one edge) at a time. Sums of so many channels (depth) are kept in registers and folded at the end.
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
  // A lane has an entry: no sum over lanes.
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
