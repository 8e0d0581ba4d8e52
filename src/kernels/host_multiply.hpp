// SPDX-License-Identifier: BSD-3-Clause
// Matrix products by one thread on the host: a register kernel at the machine's speed. It uses
// GCC's vector extensions, so the compiler allocates the registers and any instruction set works.
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

/// A row-major matrix as a right operand: its panels lie side by side.
template <class Scalar>
KOKKOS_INLINE_FUNCTION Right<Scalar> row_major(const Scalar* data, std::int64_t stride) {
  return {data, stride, kPanel<Scalar>};
}

/// Number of scalars of an [n_rows, n_columns] matrix packed in panels.
template <class Scalar>
constexpr std::int64_t packed_size(std::int64_t n_rows, std::int64_t n_columns) {
  return (n_columns + kPanel<Scalar> - 1) / kPanel<Scalar> * kPanel<Scalar> * n_rows;
}

/// A matrix packed in contiguous panels, which the register kernel reads front to back.
template <class Scalar>
KOKKOS_INLINE_FUNCTION Right<Scalar> packed(const Scalar* data, std::int64_t n_rows) {
  return {data, kPanel<Scalar>, kPanel<Scalar> * n_rows};
}

/// Rows and columns of a product, and the number of terms in each sum. Columns are a multiple of
/// kLanes.
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

/// Rows x[i] and y[k] of channels; every pair of rows is multiplied.
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
template <class Scalar, std::size_t Bytes = kVectorBytes> struct VectorOf {
  using Type __attribute__((vector_size(Bytes), aligned(sizeof(Scalar)), may_alias)) = Scalar;
};

/// A register whose lanes are summed at the end.
template <class Scalar> using FoldVector =
    typename VectorOf<Scalar, kFoldLanes<Scalar> * sizeof(Scalar)>::Type;

/// c[MR, NV registers] (+)= a b. All sums run over k in order, so a row's result does not depend on
/// its tile.
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

/// One panel: full blocks of MR rows, then the remaining rows.
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
/// Shuffles lanes by index(lane), which must be a constant expression. Indices from kFoldLanes on refer
/// to the second register. Clang has no __builtin_shuffle, GCC before 12 no __builtin_shufflevector.
template <class Scalar, class Index, int... Lane> [[gnu::always_inline]] inline FoldVector<Scalar>
shuffle(const FoldVector<Scalar>& a,
        const FoldVector<Scalar>& b,
        Index index,
        std::integer_sequence<int, Lane...> /*lanes*/) {
#if defined(__clang__) || __GNUC__ >= 12
  return __builtin_shufflevector(a, b, index(Lane)...);
#else
  using Integer = std::conditional_t<sizeof(Scalar) == 4, std::int32_t, std::int64_t>;
  using Mask __attribute__((vector_size(kFoldLanes<Scalar> * sizeof(Scalar)))) = Integer;
  return __builtin_shuffle(a, b, Mask{index(Lane)...});
#endif
}

template <class Scalar, class Index> [[gnu::always_inline]] inline FoldVector<Scalar>
shuffle(const FoldVector<Scalar>& a, const FoldVector<Scalar>& b, Index index) {
  return shuffle<Scalar>(a, b, index, std::make_integer_sequence<int, kFoldLanes<Scalar>>{});
}

/// Adds halves of ever narrower parts of a register, from 2 Width lanes down to four. Each of the
/// first four lanes ends with the sum over the lanes that are congruent to it modulo four.
template <int Width, class Scalar>
[[gnu::always_inline]] inline FoldVector<Scalar> fold_halves(FoldVector<Scalar> total) {
  if constexpr (Width >= 4) {
    const auto moved = [](int lane) { return (lane + Width) % kFoldLanes<Scalar>; };
    return fold_halves<Width / 2, Scalar>(total + shuffle<Scalar>(total, total, moved));
  } else {
    return total;
  }
}

template <class Scalar, int N> struct Registers {
  FoldVector<Scalar> v[N];
};

/// out[k] += sum over lanes of sum[k] for k < N <= 4. Folding four registers together takes a third
/// of the work of folding them one by one. Passed by value: sums whose address is taken would live
/// in memory, even in the loop before this call.
template <int N, class Scalar>
[[gnu::always_inline]] inline void fold_lanes(const Registers<Scalar, N>& sums, Scalar* out) {
  const auto& sum = sums.v;
  using Vector = FoldVector<Scalar>;
  constexpr int kWide = kFoldLanes<Scalar>;
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
    const Vector total = fold_halves<kWide / 2, Scalar>(shuffle<Scalar>(ab, cd, low) +
                                                        shuffle<Scalar>(ab, cd, high));
    for (int k = 0; k < N; ++k) {
      out[k] += total[k];
    }
  }
}

template <int MI, int MK, class Scalar>
inline void outer_block(int n, int channels, const OuterFactors<Scalar>& of, Scalar* out) {
  const auto [x, x_row, y, y_row] = of;
  using Vector = FoldVector<Scalar>;
  Vector sum[MI][MK] = {};
  for (int c = 0; c < channels; c += kFoldLanes<Scalar>) {
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

} // namespace eqnn::kernels
