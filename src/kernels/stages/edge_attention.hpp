// SPDX-License-Identifier: BSD-3-Clause
// Edge attention. Per-edge data (messages, values, their adjoints) exists for one tile only and is
// recomputed in the adjoint. Formulas: docs/spec/stages/edge_attention.md.
#pragma once

#include "kernels/stages/edge_attention_tile.hpp"
#include "plan/stages/edge_attention.hpp"

namespace eqnn::kernels {

/// out[i] = sum over edges of attention t; the attention is kept for the adjoint.
template <class S>
void edge_attention(const typename S::Exec& space, const AttentionArrays<S>& arrays) {
  using Team = typename S::Team;
  Kokkos::parallel_for(
      "eqnn::edge_attention",
      team_policy<S>(space, arrays.edges.n_groups, AttentionTile<S>::scratch_bytes(arrays.weights)),
      KOKKOS_LAMBDA(const Team& team) {
        const std::int32_t g = static_cast<std::int32_t>(team.league_rank());
        const DeviceEdges<S>& edges = arrays.edges;
        const std::int32_t tile_edges = arrays.weights.tile_edges;
        const AttentionTile<S> at(team, arrays);
        clear_rows<S>(team, arrays.out, edges.group(g), edges.group(g + 1));
        const std::int64_t n_edges = edges.begin(edges.group(g + 1)) - edges.begin(edges.group(g));
        const bool one_tile = n_edges <= tile_edges;
        // Logits of all edges come first, since the softmax needs them all.
        for_tiles_of_group(team, edges, g, tile_edges, [&](const EdgeTile<S>& tile) {
          at.radial(tile);
          at.messages(tile, one_tile ? at.d : 1);
          at.logits_and_gates(tile);
          at.keep_logits(tile);
        });
        at.softmax(g);
        for_tiles_of_group(team, edges, g, tile_edges, [&](const EdgeTile<S>& tile) {
          if (!one_tile) {
            at.radial(tile);
            at.messages(tile, at.d);
            at.logits_and_gates(tile);
          }
          at.values(tile);
          at.weigh_values(tile);
          at.sum_over_edges(tile);
        });
      });
}

/// The steps of the adjoint, in order. All per-edge data but the attention is recomputed.
template <class S> struct AttentionAdjointTile : AttentionTile<S> {
  using Scalar = typename S::Scalar;
  using Accum = typename S::Accum;
  using Team = typename S::Team;
  using Tile = AttentionTile<S>;
  using Tile::a;
  using Tile::d;
  using Tile::m;
  using Tile::on;
  using Tile::scalars;
  using Tile::slope;
  using Tile::stride;
  using Tile::team;
  using Tile::u;
  using Tile::v;
  using Tile::w;
  using Tile::width;
  using Tile::work;

  const AttentionAdjoints<S>& to;
  Accum* along; ///< [tile, heads]: adj_out . out of the edge's center

  static std::size_t scratch_bytes(const DeviceAttention<S>& a) {
    return Tile::scratch_bytes(a) +
           Scratch<Team>::template bytes<Accum>(std::int64_t{a.tile_edges} * a.heads);
  }

  KOKKOS_INLINE_FUNCTION AttentionAdjointTile(const Team& team_,
                                              const AttentionArrays<S>& arrays,
                                              const AttentionAdjoints<S>& adjoints)
      : Tile(team_, arrays)
      , to(adjoints)
      , along(Scratch<Team>(team_).template take<Accum>(std::int64_t{a.tile_edges} * a.heads)) {}

  /// Recomputes the per-edge data of the forward pass, except for the attention, which was kept.
  KOKKOS_FORCEINLINE_FUNCTION void make_again(const EdgeTile<S>& tile) const {
    radial_rows<true>(team, on.radial, on.edges, tile.first, tile.n, w, slope);
    this->messages(tile, d);
    this->logits_and_gates(tile);
    this->values(tile);
  }

  /// u becomes b = M^T adj_out. `along` receives what the adjoint of the center's softmax needs.
  KOKKOS_FORCEINLINE_FUNCTION void bring_adj_out(const EdgeTile<S>& tile) const {
    for_centers_of_tile(on.edges, tile, [&](std::int32_t i, std::int64_t first, std::int64_t n) {
      const Scalar* const adjoint = to.adj_out.row(i);
      const Scalar* const value = on.out.row(i);
      apply_matrices<true>(team,
                           n,
                           Extents{d, stride, d},
                           this->matrix_of(tile.first + first),
                           EdgeRows<Scalar>{adjoint, 0},
                           u + first * width);
      for_rows(team, 1, [&](std::int64_t) {
        for (int h = 0; h < a.heads; ++h) {
          Accum sum = 0;
          for (int k = 0; k < d; ++k) {
            const Scalar* const x = adjoint + k * stride;
            const Scalar* const y = value + k * stride;
            sum += sum_channels<Accum>(team, h * a.head_size, (h + 1) * a.head_size, [&](int c) {
              return static_cast<Accum>(x[c] * y[c]);
            });
          }
          once(team, [&]() {
            for (std::int64_t e = first; e < first + n; ++e) {
              along[e * a.heads + h] = sum;
            }
          });
        }
      });
    });
    barrier(team);
  }

  /// The adjoint of the softmax for one edge. share[c] = the attention of the channel's head;
  /// adj_z[c] = that attention times (sum of b p w over the head - along). The logarithm of the
  /// envelope is part of each logit.
  KOKKOS_FORCEINLINE_FUNCTION void softmax_adjoint(
      std::int64_t edge, std::int64_t e, const Scalar* adj_w, Scalar* share, Scalar* adj_z) const {
    const Scalar* const of_w = w + e * stride;
    Accum of_all_heads = 0;
    for (int h = 0; h < a.heads; ++h) {
      const int begin = h * a.head_size;
      const int end = begin + a.head_size;
      const Accum of_edge = on.shares(edge * a.heads + h);
      const Accum adj_share = sum_channels<Accum>(
          team, begin, end, [&](int c) { return static_cast<Accum>(adj_w[c] * of_w[c]); });
      const auto adjoint = static_cast<Scalar>(of_edge * (adj_share - along[e * a.heads + h]));
      of_all_heads += adjoint;
      for_channels(team, a.head_size, [&](int c) {
        share[begin + c] = static_cast<Scalar>(of_edge);
        adj_z[begin + c] = adjoint;
      });
    }
    if (a.envelope > 0) {
      double value = 0.0;
      double slope_of_envelope = 0.0;
      this->log_envelope_of(edge, value, slope_of_envelope);
      once(team, [&]() {
        to.adj_distance(edge) += of_all_heads * static_cast<Accum>(slope_of_envelope);
      });
    }
  }

  /// u: b -> adjoint of the values. v: values -> p w attention. scalars: q, g -> their adjoints.
  /// adj_matrix += v (x) adj_out. The first row of each edge's `work` holds adj_w.
  KOKKOS_FORCEINLINE_FUNCTION void gate_adjoint(const EdgeTile<S>& tile) const {
    for_rows(team, tile.n, [&](std::int64_t e) {
      Scalar* const b = u + e * width;
      Scalar* const p = v + e * width;
      Scalar* const q = scalars + e * 2 * stride;
      Scalar* const gates = q + stride;
      const Scalar* const of_w = w + e * stride;
      Scalar* const adj_w = work + e * 4 * stride;
      Scalar* const factor = adj_w + stride;
      Scalar* const share = factor + stride;
      Scalar* const adj_z = share + stride;
      // factor: sum over l > 0 of b v; adj_w: b . p, the factor of attention and w
      for_channels(team, stride, [&](int c) { factor[c] = 0; });
      for (int k = 1; k < d; ++k) {
        const Scalar* const b_row = b + k * stride;
        const Scalar* const v_row = p + k * stride;
        for_channels(team, stride, [&](int c) { factor[c] += b_row[c] * v_row[c]; });
      }
      for_channels(team, stride, [&](int c) {
        gates[c] = sigmoid(gates[c]);
        adj_w[c] = factor[c] * gates[c] + b[c] * p[c] * sigmoid(p[c]);
        share[c] = 0;
        adj_z[c] = 0;
      });
      softmax_adjoint(tile.first + e, e, adj_w, share, adj_z);
      for_channels(team, stride, [&](int c) {
        const Scalar s = sigmoid(p[c]);
        const Scalar share_w = share[c] * of_w[c];
        const Scalar opening = gates[c];
        gates[c] = share_w * factor[c] * opening * (Scalar(1) - opening);
        q[c] = adj_z[c] * a.logit_vector(c) *
               smooth_leaky_relu_derivative(a.negative_slope, q[c], sigmoid(q[c]));
        adj_w[c] *= share[c];
        factor[c] = share_w * opening;
        b[c] *= share_w * silu_derivative(p[c], s);
        p[c] *= share_w * s;
      });
      for (int k = 1; k < d; ++k) {
        Scalar* const b_row = b + k * stride;
        Scalar* const v_row = p + k * stride;
        for_channels(team, stride, [&](int c) {
          b_row[c] *= factor[c];
          v_row[c] *= factor[c];
        });
      }
      add_outer(
          team,
          Extents{d, d, stride},
          OuterFactors<Scalar>{p, stride, to.adj_out.row(on.edges.center(tile.first + e)), stride},
          to.adj_matrix.data() + (tile.first + e) * d * d);
    });
    barrier(team);
  }

  /// v = adjoint of u, via values, gates and logits; u = M^T v.
  KOKKOS_FORCEINLINE_FUNCTION void mixing_adjoint(const EdgeTile<S>& tile) const {
    multiply<false>(team,
                    Extents{static_cast<int>(tile.n) * d, stride, stride},
                    Left<Scalar>{u, stride, 1},
                    packed(a.value_adjoint.data(), stride),
                    Target<Scalar>{v, stride});
    multiply<true>(team,
                   Extents{static_cast<int>(tile.n), stride, 2 * stride},
                   Left<Scalar>{scalars, 2 * stride, 1},
                   packed(a.scalar_adjoint.data(), 2 * stride),
                   Target<Scalar>{v, width});
    apply_matrices<true>(team,
                         tile.n,
                         Extents{d, stride, d},
                         this->matrix_of(tile.first),
                         EdgeRows<Scalar>{v, width},
                         u);
  }

  /// The adjoint of m is u times w. m becomes m w, and adj_matrix += (m w) (x) v.
  KOKKOS_FORCEINLINE_FUNCTION void messages_adjoint(const EdgeTile<S>& tile) const {
    for_rows(team, tile.n, [&](std::int64_t e) {
      const Scalar* const of_w = w + e * stride;
      const Scalar* const of_slope = slope + e * stride;
      Scalar* const adj_w = work + e * 4 * stride;
      for (int k = 0; k < d; ++k) {
        Scalar* const m_row = m + e * width + k * stride;
        Scalar* const u_row = u + e * width + k * stride;
        for_channels(team, stride, [&](int c) {
          adj_w[c] += m_row[c] * u_row[c];
          m_row[c] *= of_w[c];
          u_row[c] *= of_w[c];
        });
      }
      add_outer(team,
                Extents{d, d, stride},
                OuterFactors<Scalar>{m + e * width, stride, v + e * width, stride},
                to.adj_matrix.data() + (tile.first + e) * d * d);
      const Accum total = sum_channels<Accum>(
          team, 0, stride, [&](int c) { return static_cast<Accum>(adj_w[c] * of_slope[c]); });
      once(team, [&]() { to.adj_distance(tile.first + e) += total; });
    });
    barrier(team);
  }

  /// Passes the adjoints of m = source + center to both.
  KOKKOS_FORCEINLINE_FUNCTION void give_messages(const EdgeTile<S>& tile) const {
    for_centers_of_tile(on.edges, tile, [&](std::int32_t i, std::int64_t first, std::int64_t n) {
      for_rows(team, d, [&](std::int64_t k) {
        Scalar* const row = to.messages.center.row(i) + k * stride;
        for (std::int64_t e = first; e < first + n; ++e) {
          const Scalar* const u_row = u + e * width + k * stride;
          for_channels(team, stride, [&](int c) { row[c] += u_row[c]; });
        }
      });
    });
    barrier(team);
    for_rows(team, tile.n, [&](std::int64_t e) {
      const Scalar* const u_row = u + e * width;
      if (to.messages.messages != nullptr) {
        Scalar* const row =
            to.messages.messages + (tile.first + e - to.messages.first_edge) * width;
        for_channels(team, width, [&](int c) { row[c] = u_row[c]; });
      } else {
        Scalar* const row = to.messages.source.row(on.edges.source(tile.first + e));
        for_channels(team, width, [&](int c) { row[c] += u_row[c]; });
      }
    });
  }
};

/// Adjoint for a chunk of groups. docs/spec/stages/edge_attention.md
template <class S> void edge_attention_adjoint(const typename S::Exec& space,
                                               const EdgeSchedule::Chunk& chunk,
                                               const AttentionArrays<S>& arrays,
                                               const AttentionAdjoints<S>& adjoints) {
  using Team = typename S::Team;
  const std::int32_t first_group = chunk.first_group;
  Kokkos::parallel_for(
      "eqnn::edge_attention_adjoint",
      team_policy<S>(space, chunk.n_groups, AttentionAdjointTile<S>::scratch_bytes(arrays.weights)),
      KOKKOS_LAMBDA(const Team& team) {
        const std::int32_t g = first_group + static_cast<std::int32_t>(team.league_rank());
        const DeviceEdges<S>& edges = arrays.edges;
        const AttentionAdjointTile<S> at(team, arrays, adjoints);
        if (adjoints.write_center == plan::Write::Overwrite) {
          clear_rows<S>(team, adjoints.messages.center, edges.group(g), edges.group(g + 1));
        }
        for_tiles_of_group(team, edges, g, arrays.weights.tile_edges, [&](const EdgeTile<S>& tile) {
          at.make_again(tile);
          at.bring_adj_out(tile);
          at.gate_adjoint(tile);
          at.mixing_adjoint(tile);
          at.messages_adjoint(tile);
          at.give_messages(tile);
        });
      });
}

template <class S> struct EdgeAttentionStage {
  using Scalar = typename S::Scalar;

  plan::EdgeAttention op;
  DeviceAttention<S> weights;
  std::int32_t shares = 0; ///< index of the kept attention

  EdgeAttentionStage(plan::EdgeAttention host, DeviceTables<S>& tables)
      : op(std::move(host)) {
    DeviceAttention<S>& a = weights;
    a.channels = tables.channels_of(op.out);
    a.stride = padded_channels<Scalar>(a.channels);
    a.components = tables.value(op.out).components;
    a.heads = op.heads;
    a.head_size = a.channels / op.heads;
    a.negative_slope = static_cast<Scalar>(op.negative_slope);
    a.eps = op.eps;
    a.cutoff = op.cutoff;
    a.envelope = op.envelope;
    a.value_weight =
        tables.packed_weight("eqnn::value_weight", op.value_weight, a.channels, a.channels);
    a.value_adjoint =
        tables.packed_weight("eqnn::value_adjoint",
                             plan::transposed(op.value_weight, a.channels, a.channels),
                             a.channels,
                             a.channels);
    a.value_bias = tables.padded_vector("eqnn::value_bias", op.value_bias);
    a.logit_vector = tables.padded_vector("eqnn::logit_vector", op.logit_vector);
    upload_logits_and_gates(tables);
    a.tile_edges = tile_edges<Scalar>(std::int64_t{3} * a.components * a.stride);
    shares = tables.keep_on_edges(a.heads);
    for (auto* weight : {&op.logit_weight, &op.value_weight, &op.gate_weight}) {
      release(*weight);
    }
  }

  std::int32_t message_width(const DeviceTables<S>&) const {
    return weights.components * weights.stride;
  }

  void forward(const Context<S>& at) const { edge_attention(at.space(), arrays(at)); }

  void adjoint(const Context<S>& at) const {
    const AttentionArrays<S> forward_arrays = arrays(at);
    at.adjoint_along_edges(
        op.source,
        at.adjoint(op.center),
        [&](const EdgeSchedule::Chunk& chunk, const MessageAdjoints<S>& messages) {
          edge_attention_adjoint(at.space(),
                                 chunk,
                                 forward_arrays,
                                 AttentionAdjoints<S>{at.adjoint(op.out),
                                                      messages,
                                                      op.center.adjoint,
                                                      at.adj_matrix(op.matrix),
                                                      at.adj_distance()});
        });
  }

private:
  AttentionArrays<S> arrays(const Context<S>& at) const {
    return {at.edges(),
            weights,
            at.radial(op.radial),
            at.matrix(op.matrix),
            at.value(op.source),
            at.value(op.center),
            at.value(op.out),
            at.kept_on_edges(shares)};
  }

  /// Logits and gates side by side: [in, 2 stride].
  void upload_logits_and_gates(DeviceTables<S>& tables) {
    DeviceAttention<S>& a = weights;
    const auto stride = static_cast<std::size_t>(a.stride);
    std::vector<double> both(static_cast<std::size_t>(a.channels) * 2 * stride, 0.0);
    std::vector<double> bias(2 * stride, 0.0);
    for (std::int32_t o = 0; o < a.channels; ++o) {
      const auto at = static_cast<std::size_t>(o);
      bias[at] = op.logit_bias[at];
      bias[stride + at] = op.gate_bias[at];
      for (std::int32_t in = 0; in < a.channels; ++in) {
        const auto from = static_cast<std::size_t>(in) * static_cast<std::size_t>(a.channels) + at;
        const auto to = static_cast<std::size_t>(in) * 2 * stride + at;
        both[to] = op.logit_weight[from];
        both[to + stride] = op.gate_weight[from];
      }
    }
    a.scalar_weight = tables.template array<Scalar>(
        "eqnn::scalar_weight",
        pack<Scalar>(both, a.channels, 2 * a.stride, a.stride, 2 * a.stride));
    a.scalar_adjoint =
        tables.template array<Scalar>("eqnn::scalar_adjoint",
                                      pack<Scalar>(plan::transposed(both, a.channels, 2 * a.stride),
                                                   2 * a.stride,
                                                   a.channels,
                                                   2 * a.stride,
                                                   a.stride));
    a.scalar_bias = tables.template array<Scalar>("eqnn::scalar_bias", bias);
  }
};

} // namespace eqnn::kernels
