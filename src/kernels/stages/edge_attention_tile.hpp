// SPDX-License-Identifier: BSD-3-Clause
// Edge attention on one tile of edges: its buffers, and the steps of the forward pass, which the
// adjoint repeats. Used by stages/edge_attention.hpp.
#pragma once

#include "kernels/context.hpp"
#include "kernels/math.hpp"

namespace eqnn::kernels {

template <class S> struct DeviceAttention {
  std::int32_t heads = 0, head_size = 0, channels = 0, stride = 0, components = 0;
  std::int32_t tile_edges = 0;
  typename S::Scalar negative_slope = 0;
  double eps = 0.0, cutoff = 0.0;
  std::int32_t envelope = 0; ///< order of the polynomial, 0: none
  /// [stride, 2 stride]: logits, then gates, of u_0; packed
  Array<S, typename S::Scalar> scalar_weight;
  Array<S, typename S::Scalar> scalar_adjoint; ///< [2 stride, stride]; packed
  Array<S, typename S::Scalar> scalar_bias;    ///< [2 stride]
  Array<S, typename S::Scalar> value_weight;   ///< [stride, stride]; packed
  Array<S, typename S::Scalar> value_adjoint;  ///< [stride, stride]; packed
  Array<S, typename S::Scalar> value_bias;     ///< [stride]
  Array<S, typename S::Scalar> logit_vector;   ///< [stride]
};

/// Logarithm of the polynomial envelope at r and its slope, for r < cutoff. With x = r/cutoff the
/// envelope is (1 - x)^3 sum_k (k + 1)(k + 2)/2 x^k, k < p. All terms are positive, so no
/// digits cancel near the cutoff.
KOKKOS_INLINE_FUNCTION void
log_envelope(std::int32_t p, double cutoff, double r, double& value, double& slope) {
  const double x = r / cutoff;
  double sum = 0.0;
  double power = 1.0; // x^(p - 1) at the end
  for (std::int32_t k = p - 1; k >= 0; --k) {
    sum = sum * x + 0.5 * (k + 1) * (k + 2);
    power *= k > 0 ? x : 1.0;
  }
  value = 3.0 * Kokkos::log(1.0 - x) + Kokkos::log(sum);
  slope = -0.5 * p * (p + 1.0) * (p + 2.0) * power / ((1.0 - x) * sum * cutoff);
}

/// The arrays of the stage, forward and in reverse.
template <class S> struct AttentionArrays {
  DeviceEdges<S> edges;
  DeviceAttention<S> weights;
  DeviceRadial<S> radial;
  Array<S, typename S::Scalar> matrix; ///< [n_edges, d, d]
  Rows<typename S::Scalar> source, center, out;
  Array<S, typename S::Accum> shares; ///< [n_edges, heads] attention, kept for the adjoint
};

/// Further arrays that the adjoint reads and writes.
template <class S> struct AttentionAdjoints {
  Rows<typename S::Scalar> adj_out;
  MessageAdjoints<S> messages; ///< adj_source and adj_center
  plan::Write write_center = plan::Write::Add;
  Array<S, typename S::Scalar> adj_matrix;  ///< [n_edges, d, d], added to
  Array<S, typename S::Accum> adj_distance; ///< [n_edges], added to
};

/// Buffers of one tile, and the steps of the forward pass.
template <class S> struct AttentionTile {
  using Scalar = typename S::Scalar;
  using Accum = typename S::Accum;
  using Team = typename S::Team;

  const Team& team;
  const AttentionArrays<S>& on;
  const DeviceAttention<S>& a;
  int d, stride, width;
  Scalar *m, *u, *v; ///< [tile, d, stride] each
  Scalar* scalars;   ///< [tile, 2 stride]: logits q and gates g, before their activations
  Scalar *w, *slope; ///< [tile, stride]: radial function and its derivative
  Scalar* work;      ///< [tile, 4 stride], for the adjoint

  static std::size_t scratch_bytes(const DeviceAttention<S>& a) {
    const std::int64_t rows = std::int64_t{a.tile_edges} * a.stride;
    return Scratch<Team>::template bytes<Scalar>(rows * (3 * a.components + 8));
  }

  KOKKOS_INLINE_FUNCTION AttentionTile(const Team& team_, const AttentionArrays<S>& arrays)
      : team(team_)
      , on(arrays)
      , a(arrays.weights)
      , d(arrays.weights.components)
      , stride(arrays.weights.stride)
      , width(arrays.weights.components * arrays.weights.stride) {
    const std::int64_t rows = std::int64_t{a.tile_edges} * stride;
    m = Scratch<Team>(team_).template take<Scalar>(rows * (3 * d + 8));
    u = m + rows * d;
    v = u + rows * d;
    scalars = v + rows * d;
    w = scalars + 2 * rows;
    slope = w + rows;
    work = slope + rows;
  }

  KOKKOS_FORCEINLINE_FUNCTION const Scalar* matrix_of(std::int64_t edge) const {
    return on.matrix.data() + edge * d * d;
  }

  KOKKOS_FORCEINLINE_FUNCTION void radial(const EdgeTile<S>& tile) const {
    radial_rows<false>(team, on.radial, on.edges, tile.first, tile.n, w, w);
  }

  /// m = source + center, u = (M m) w for the first n_components components of u.
  KOKKOS_FORCEINLINE_FUNCTION void messages(const EdgeTile<S>& tile, int n_components) const {
    for_rows(team, tile.n, [&](std::int64_t e) {
      const Scalar* const x = on.source.row(on.edges.source(tile.first + e));
      const Scalar* const y = on.center.row(on.edges.center(tile.first + e));
      Scalar* const sum = m + e * width;
      for_channels(team, width, [&](int c) { sum[c] = x[c] + y[c]; });
    });
    barrier(team);
    apply_matrices<false>(team,
                          tile.n,
                          Extents{n_components, stride, d},
                          matrix_of(tile.first),
                          EdgeRows<Scalar>{m, width},
                          u);
    for_rows(team, tile.n, [&](std::int64_t e) {
      for (int k = 0; k < n_components; ++k) {
        Scalar* const row = u + e * width + k * stride;
        for_channels(team, stride, [&](int c) { row[c] *= w[e * stride + c]; });
      }
    });
    barrier(team);
  }

  /// scalars = (logit, gate) weights times u_0, with their biases
  KOKKOS_FORCEINLINE_FUNCTION void logits_and_gates(const EdgeTile<S>& tile) const {
    multiply<false>(team,
                    Extents{static_cast<int>(tile.n), 2 * stride, stride},
                    Left<Scalar>{u, width, 1},
                    packed(a.scalar_weight.data(), stride),
                    Target<Scalar>{scalars, 2 * stride});
    for_rows(team, tile.n, [&](std::int64_t e) {
      for_channels(
          team, 2 * stride, [&](int c) { scalars[e * 2 * stride + c] += a.scalar_bias(c); });
    });
    barrier(team);
  }

  /// Logarithm of an edge's envelope and its slope. From the cutoff on, the logarithm is far below
  /// all logits.
  KOKKOS_FORCEINLINE_FUNCTION void
  log_envelope_of(std::int64_t edge, double& log_value, double& log_slope) const {
    constexpr double kNothing = -1e30;
    log_value = 0.0;
    log_slope = 0.0;
    if (a.envelope > 0) {
      const double r = on.edges.distance(edge);
      if (r < a.cutoff) {
        log_envelope(a.envelope, a.cutoff, r, log_value, log_slope);
      } else {
        log_value = kNothing;
      }
    }
  }

  /// shares = logits of each head, plus the logarithm of the envelope
  KOKKOS_FORCEINLINE_FUNCTION void keep_logits(const EdgeTile<S>& tile) const {
    for_rows(team, tile.n, [&](std::int64_t e) {
      double envelope = 0.0;
      double slope_of_envelope = 0.0;
      log_envelope_of(tile.first + e, envelope, slope_of_envelope);
      Scalar* const q = scalars + e * 2 * stride;
      for_channels(team, stride, [&](int c) {
        q[c] = a.logit_vector(c) * smooth_leaky_relu(a.negative_slope, q[c], sigmoid(q[c]));
      });
      for (int h = 0; h < a.heads; ++h) {
        const Accum z =
            sum_channels<Accum>(team, h * a.head_size, (h + 1) * a.head_size, [&](int c) {
              return static_cast<Accum>(q[c]);
            });
        once(team, [&]() {
          on.shares((tile.first + e) * a.heads + h) = z + static_cast<Accum>(envelope);
        });
      }
    });
  }

  /// shares = exp(z - max z) / (eps + sum of exp(z - max z)) over the edges of each center of a
  /// group, with logits z
  KOKKOS_FORCEINLINE_FUNCTION void softmax(std::int32_t group) const {
    const std::int32_t first = on.edges.group(group);
    for_rows(team, on.edges.group(group + 1) - first, [&](std::int64_t r) {
      const std::int32_t i = first + static_cast<std::int32_t>(r);
      const std::int64_t begin = on.edges.begin(i);
      const std::int64_t end = on.edges.begin(i + 1);
      for_channels(team, a.heads, [&](int h) {
        Accum largest = begin < end ? on.shares(begin * a.heads + h) : Accum(0);
        for (std::int64_t e = begin + 1; e < end; ++e) {
          const Accum z = on.shares(e * a.heads + h);
          largest = z > largest ? z : largest;
        }
        Accum sum = static_cast<Accum>(a.eps);
        for (std::int64_t e = begin; e < end; ++e) {
          const Accum share = exponential(on.shares(e * a.heads + h) - largest);
          on.shares(e * a.heads + h) = share;
          sum += share;
        }
        for (std::int64_t e = begin; e < end; ++e) {
          on.shares(e * a.heads + h) /= sum;
        }
      });
    });
    barrier(team);
  }

  /// v = value weights times u, with the bias on l = 0
  KOKKOS_FORCEINLINE_FUNCTION void values(const EdgeTile<S>& tile) const {
    multiply<false>(team,
                    Extents{static_cast<int>(tile.n) * d, stride, stride},
                    Left<Scalar>{u, stride, 1},
                    packed(a.value_weight.data(), stride),
                    Target<Scalar>{v, stride});
    for_rows(team, tile.n, [&](std::int64_t e) {
      for_channels(team, stride, [&](int c) { v[e * width + c] += a.value_bias(c); });
    });
    barrier(team);
  }

  /// v becomes p w attention, so that only M v remains to be summed over edges.
  KOKKOS_FORCEINLINE_FUNCTION void weigh_values(const EdgeTile<S>& tile) const {
    for_rows(team, tile.n, [&](std::int64_t e) {
      Scalar* const p = v + e * width;
      Scalar* const factor = w + e * stride;
      Scalar* const opening = scalars + e * 2 * stride + stride;
      for (int h = 0; h < a.heads; ++h) {
        const auto share = static_cast<Scalar>(on.shares((tile.first + e) * a.heads + h));
        Scalar* const part = factor + h * a.head_size;
        for_channels(team, a.head_size, [&](int c) { part[c] *= share; });
      }
      for_channels(team, stride, [&](int c) {
        opening[c] = sigmoid(opening[c]) * factor[c];
        p[c] = p[c] * sigmoid(p[c]) * factor[c];
      });
      for (int k = 1; k < d; ++k) {
        Scalar* const row = p + k * stride;
        for_channels(team, stride, [&](int c) { row[c] *= opening[c]; });
      }
    });
    barrier(team);
  }

  /// out += M v. With matrices stored as M[e][i][k], a center's sum_e sum_i M[e][i][k] v[e][i][c]
  /// is a single matrix product: the columns (e, i) have a constant stride.
  KOKKOS_FORCEINLINE_FUNCTION void sum_over_edges(const EdgeTile<S>& tile) const {
    for_centers_of_tile(on.edges, tile, [&](std::int32_t i, std::int64_t first, std::int64_t n) {
      multiply<true>(team,
                     Extents{d, stride, n * d},
                     Left<Scalar>{matrix_of(tile.first + first), 1, d},
                     row_major(v + first * width, stride),
                     Target<Scalar>{on.out.row(i), stride});
    });
  }
};

} // namespace eqnn::kernels
