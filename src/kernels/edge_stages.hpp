// SPDX-License-Identifier: BSD-3-Clause
// Stages that sum over neighbours: neighbour sum and edge attention, each beside its adjoint.
// Formulas: docs/spec/model_file.md, adjoints: docs/spec/adjoints.md.
//
// A team owns a group of centres and works through their edges in tiles that stay in cache. What
// lives on edges (messages, values, their adjoints) exists for one tile only and is made again in
// the adjoint; memory does not grow with edges x components x channels. Sums over the edges of a
// centre are one matrix product: with matrices stored as M[e][i][k], the centre's sum_e sum_i
// M[e][i][k] p[e][i][c] has the columns (e, i) at a constant stride.
#pragma once

#include "kernels/math.hpp"
#include "kernels/radial.hpp"
#include "kernels/tile_multiply.hpp"
#include "plan/plan.hpp"

namespace eqnn::kernels {

/// The edges of one group, cut into tiles.
template <class S> struct EdgeTile {
  std::int64_t first; ///< edge
  std::int64_t n;
};

/// Calls body(center, first edge within the tile, number of edges) for the part of each centre that
/// lies in the tile.
template <class S, class Body> KOKKOS_FORCEINLINE_FUNCTION void
for_centers_of_tile(const DeviceEdges<S>& edges, const EdgeTile<S>& tile, const Body& body) {
  std::int64_t e = tile.first;
  while (e < tile.first + tile.n) {
    const std::int32_t i = edges.center(e);
    const std::int64_t end =
        edges.begin(i + 1) < tile.first + tile.n ? edges.begin(i + 1) : tile.first + tile.n;
    body(i, e - tile.first, end - e);
    e = end;
  }
}

/// Calls body(tile) for the tiles of a team's group.
template <class S, class Body>
KOKKOS_FORCEINLINE_FUNCTION void for_tiles_of_group(const typename S::Team& team,
                                                    const DeviceEdges<S>& edges,
                                                    std::int32_t group,
                                                    std::int32_t tile_edges,
                                                    const Body& body) {
  const std::int64_t end = edges.begin(edges.group(group + 1));
  for (std::int64_t first = edges.begin(edges.group(group)); first < end; first += tile_edges) {
    body(EdgeTile<S>{first, end - first < tile_edges ? end - first : std::int64_t{tile_edges}});
    barrier(team);
  }
}

template <class S> KOKKOS_FORCEINLINE_FUNCTION void clear_rows(const typename S::Team& team,
                                                               const Rows<typename S::Scalar>& rows,
                                                               std::int64_t begin,
                                                               std::int64_t end) {
  for_rows(team, end - begin, [&](std::int64_t r) {
    auto* const x = rows.row(begin + r);
    for_channels(team, rows.width(), [&](int c) { x[c] = 0; });
  });
  barrier(team);
}

// ---- neighbour sum: out[i,k] = sum over edges of M[e][0][k] w_e ----

template <class S> void neighbor_sum(const typename S::Exec& space,
                                     const DeviceEdges<S>& edges,
                                     std::int32_t tile_edges,
                                     const Array<S, typename S::Scalar>& matrix,
                                     const DeviceRadial<S>& radial,
                                     const Rows<typename S::Scalar>& out) {
  using Scalar = typename S::Scalar;
  using Team = typename S::Team;
  Kokkos::parallel_for(
      "eqnn::neighbor_sum",
      team_policy<S>(
          space,
          edges.n_groups,
          Scratch<Team>::template bytes<Scalar>(std::int64_t{tile_edges} * radial.stride)),
      KOKKOS_LAMBDA(const Team& team) {
        const std::int32_t g = static_cast<std::int32_t>(team.league_rank());
        const int d = out.components;
        const Scratch<Team> scratch(team);
        Scalar* const w = scratch.template take<Scalar>(std::int64_t{tile_edges} * radial.stride);
        clear_rows<S>(team, out, edges.group(g), edges.group(g + 1));
        for_tiles_of_group(team, edges, g, tile_edges, [&](const EdgeTile<S>& tile) {
          radial_rows<false>(team, radial, &edges.distance(tile.first), tile.n, w, w);
          for_centers_of_tile(edges, tile, [&](std::int32_t i, std::int64_t first, std::int64_t n) {
            multiply<true>(team,
                           d,
                           out.stride,
                           n,
                           Left<Scalar>{matrix.data() + (tile.first + first) * d * d, 1, d * d},
                           row_major(w + first * radial.stride, radial.stride),
                           out.row(i),
                           out.stride);
          });
        });
      });
}

/// adj_matrix[e][0][k] += sum_c adj_out[i,k,c] w_c;  adj_distance[e] += sum_c dw_c/dr sum_k
/// M[e][0][k] adj_out[i,k,c]
template <class S> void neighbor_sum_adjoint(const typename S::Exec& space,
                                             const DeviceEdges<S>& edges,
                                             const Array<S, typename S::Scalar>& matrix,
                                             const DeviceRadial<S>& radial,
                                             const Rows<typename S::Scalar>& adj_out,
                                             const Array<S, typename S::Scalar>& adj_matrix,
                                             const Array<S, typename S::Accum>& adj_distance) {
  using Scalar = typename S::Scalar;
  using Accum = typename S::Accum;
  using Team = typename S::Team;
  Kokkos::parallel_for(
      "eqnn::neighbor_sum_adjoint",
      team_policy<S>(
          space, edges.n_groups, Scratch<Team>::template bytes<Scalar>(2 * radial.stride)),
      KOKKOS_LAMBDA(const Team& team) {
        const std::int32_t g = static_cast<std::int32_t>(team.league_rank());
        const int d = adj_out.components;
        const Scratch<Team> scratch(team);
        Scalar* const w = scratch.template take<Scalar>(2 * radial.stride);
        Scalar* const slope = w + radial.stride;
        // One edge at a time: a team is one thread on the host, and this stage runs once in a
        // network.
        for (std::int64_t e = edges.begin(edges.group(g)); e < edges.begin(edges.group(g + 1));
             ++e) {
          for_rows(team, 1, [&](std::int64_t) {
            const Scalar* const adjoint = adj_out.row(edges.center(e));
            radial_edge<true>(team, radial, edges.distance(e), w, slope);
            Accum total = 0;
            for (int k = 0; k < d; ++k) {
              const Scalar entry = matrix(e * d * d + k);
              const Scalar with_value = sum_channels<Scalar>(team, 0, radial.stride, [&](int c) {
                return adjoint[k * adj_out.stride + c] * w[c];
              });
              const Accum with_slope = sum_channels<Accum>(team, 0, radial.stride, [&](int c) {
                return static_cast<Accum>(adjoint[k * adj_out.stride + c] * slope[c]);
              });
              total += static_cast<Accum>(entry) * with_slope;
              once(team, [&]() { adj_matrix(e * d * d + k) += with_value; });
            }
            once(team, [&]() { adj_distance(e) += total; });
          });
          barrier(team);
        }
      });
}

// ---- edge attention ----

template <class S> struct DeviceAttention {
  std::int32_t heads = 0, head_size = 0, channels = 0, stride = 0, components = 0;
  typename S::Scalar negative_slope = 0;
  double eps = 0.0;
  /// [stride, 2 stride]: logits, then gates, of u_0; packed
  Array<S, typename S::Scalar> scalar_weight;
  Array<S, typename S::Scalar> scalar_adjoint; ///< [2 stride, stride]; packed
  Array<S, typename S::Scalar> scalar_bias;    ///< [2 stride]
  Array<S, typename S::Scalar> value_weight;   ///< [stride, stride]; packed
  Array<S, typename S::Scalar> value_adjoint;  ///< [stride, stride]; packed
  Array<S, typename S::Scalar> value_bias;     ///< [stride]
  Array<S, typename S::Scalar> logit_vector;   ///< [stride]
};

/// Edges of a tile so that its buffers stay in cache.
template <class S> std::int32_t attention_tile_edges(std::int32_t components, std::int32_t stride) {
  const std::size_t per_edge = 3 * sizeof(typename S::Scalar) *
                               static_cast<std::size_t>(components) *
                               static_cast<std::size_t>(stride);
  const auto fitting = static_cast<std::int32_t>(kTileBytes / per_edge);
  return fitting < kFewestTileEdges ? kFewestTileEdges
                                    : (fitting > kMostTileEdges ? kMostTileEdges : fitting);
}

/// Buffers of one tile, and the steps that the forward pass and its adjoint share.
template <class S> struct AttentionTile {
  using Scalar = typename S::Scalar;
  using Team = typename S::Team;

  const Team& team;
  const DeviceEdges<S>& edges;
  const DeviceAttention<S>& a;
  const DeviceRadial<S>& radial;
  const Scalar* matrix;
  const Rows<Scalar>& source;
  const Rows<Scalar>& center;
  int d, stride, width;
  Scalar *m, *u, *v; ///< [tile, d, stride] each
  Scalar* scalars;   ///< [tile, 2 stride]: logits q and gates g, before their activations
  Scalar *w, *slope; ///< [tile, stride]: radial function and its derivative
  Scalar* work;      ///< [tile, 4 stride], for the adjoint

  static std::size_t scratch_bytes(const DeviceAttention<S>& a, std::int32_t tile_edges) {
    const std::int64_t rows = std::int64_t{tile_edges} * a.stride;
    return Scratch<Team>::template bytes<Scalar>(rows * (3 * a.components + 8));
  }

  KOKKOS_INLINE_FUNCTION AttentionTile(const Team& team_,
                                       const DeviceEdges<S>& edges_,
                                       const DeviceAttention<S>& a_,
                                       const DeviceRadial<S>& radial_,
                                       const Scalar* matrix_,
                                       const Rows<Scalar>& source_,
                                       const Rows<Scalar>& center_,
                                       std::int32_t tile_edges)
      : team(team_)
      , edges(edges_)
      , a(a_)
      , radial(radial_)
      , matrix(matrix_)
      , source(source_)
      , center(center_)
      , d(a_.components)
      , stride(a_.stride)
      , width(a_.components * a_.stride) {
    const std::int64_t rows = std::int64_t{tile_edges} * stride;
    m = Scratch<Team>(team_).template take<Scalar>(rows * (3 * d + 8));
    u = m + rows * d;
    v = u + rows * d;
    scalars = v + rows * d;
    w = scalars + 2 * rows;
    slope = w + rows;
    work = slope + rows;
  }

  KOKKOS_FORCEINLINE_FUNCTION const Scalar* matrix_of(std::int64_t edge) const {
    return matrix + edge * d * d;
  }

  /// m = source + center, u = (M m) w for the first n_components components of u.
  KOKKOS_FORCEINLINE_FUNCTION void messages(const EdgeTile<S>& tile, int n_components) const {
    for_rows(team, tile.n, [&](std::int64_t e) {
      const Scalar* const x = source.row(edges.source(tile.first + e));
      const Scalar* const y = center.row(edges.center(tile.first + e));
      Scalar* const sum = m + e * width;
      for_channels(team, width, [&](int c) { sum[c] = x[c] + y[c]; });
    });
    barrier(team);
    for (std::int64_t e = 0; e < tile.n; ++e) {
      multiply<false>(team,
                      n_components,
                      stride,
                      d,
                      Left<Scalar>{matrix_of(tile.first + e), 1, d},
                      row_major(m + e * width, stride),
                      u + e * width,
                      stride);
    }
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
                    static_cast<int>(tile.n),
                    2 * stride,
                    stride,
                    Left<Scalar>{u, width, 1},
                    packed(a.scalar_weight.data(), stride),
                    scalars,
                    2 * stride);
    for_rows(team, tile.n, [&](std::int64_t e) {
      for_channels(
          team, 2 * stride, [&](int c) { scalars[e * 2 * stride + c] += a.scalar_bias(c); });
    });
    barrier(team);
  }

  /// v = value weights times u, with the bias on l = 0
  KOKKOS_FORCEINLINE_FUNCTION void values(const EdgeTile<S>& tile) const {
    multiply<false>(team,
                    static_cast<int>(tile.n) * d,
                    stride,
                    stride,
                    Left<Scalar>{u, stride, 1},
                    packed(a.value_weight.data(), stride),
                    v,
                    stride);
    for_rows(team, tile.n, [&](std::int64_t e) {
      for_channels(team, stride, [&](int c) { v[e * width + c] += a.value_bias(c); });
    });
    barrier(team);
  }
};

/// out[i] = sum over edges of attention t;  attention [n_edges, heads] is kept for the adjoint.
template <class S> void attention(const typename S::Exec& space,
                                  const DeviceEdges<S>& edges,
                                  std::int32_t tile_edges,
                                  const Array<S, typename S::Scalar>& matrix,
                                  const DeviceRadial<S>& radial,
                                  const DeviceAttention<S>& a,
                                  const Rows<typename S::Scalar>& source,
                                  const Rows<typename S::Scalar>& center,
                                  const Rows<typename S::Scalar>& out,
                                  const Array<S, typename S::Accum>& attention) {
  using Scalar = typename S::Scalar;
  using Accum = typename S::Accum;
  using Team = typename S::Team;
  Kokkos::parallel_for(
      "eqnn::attention",
      team_policy<S>(space, edges.n_groups, AttentionTile<S>::scratch_bytes(a, tile_edges)),
      KOKKOS_LAMBDA(const Team& team) {
        const std::int32_t g = static_cast<std::int32_t>(team.league_rank());
        const AttentionTile<S> at(
            team, edges, a, radial, matrix.data(), source, center, tile_edges);
        const int heads = a.heads;
        clear_rows<S>(team, out, edges.group(g), edges.group(g + 1));
        const std::int64_t group_begin = edges.begin(edges.group(g));
        const std::int64_t group_end = edges.begin(edges.group(g + 1));
        const bool one_tile = group_end - group_begin <= tile_edges;

        // Logits of all edges first: the softmax needs them all.
        for_tiles_of_group(team, edges, g, tile_edges, [&](const EdgeTile<S>& tile) {
          radial_rows<false>(team, radial, &edges.distance(tile.first), tile.n, at.w, at.w);
          at.messages(tile, one_tile ? at.d : 1);
          at.logits_and_gates(tile);
          for_rows(team, tile.n, [&](std::int64_t e) {
            Scalar* const q = at.scalars + e * 2 * at.stride;
            for_channels(team, at.stride, [&](int c) {
              q[c] = a.logit_vector(c) * smooth_leaky_relu(a.negative_slope, q[c], sigmoid(q[c]));
            });
            for (int h = 0; h < heads; ++h) {
              const Accum z =
                  sum_channels<Accum>(team, h * a.head_size, (h + 1) * a.head_size, [&](int c) {
                    return static_cast<Accum>(q[c]);
                  });
              once(team, [&]() { attention((tile.first + e) * heads + h) = z; });
            }
          });
        });
        for_rows(team, edges.group(g + 1) - edges.group(g), [&](std::int64_t r) {
          const std::int32_t i = edges.group(g) + static_cast<std::int32_t>(r);
          const std::int64_t begin = edges.begin(i);
          const std::int64_t end = edges.begin(i + 1);
          for_channels(team, heads, [&](int h) {
            Accum largest = begin < end ? attention(begin * heads + h) : Accum(0);
            for (std::int64_t e = begin + 1; e < end; ++e) {
              const Accum z = attention(e * heads + h);
              largest = z > largest ? z : largest;
            }
            Accum sum = static_cast<Accum>(a.eps);
            for (std::int64_t e = begin; e < end; ++e) {
              const Accum share = exponential(attention(e * heads + h) - largest);
              attention(e * heads + h) = share;
              sum += share;
            }
            for (std::int64_t e = begin; e < end; ++e) {
              attention(e * heads + h) /= sum;
            }
          });
        });
        barrier(team);

        for_tiles_of_group(team, edges, g, tile_edges, [&](const EdgeTile<S>& tile) {
          if (!one_tile) {
            radial_rows<false>(team, radial, &edges.distance(tile.first), tile.n, at.w, at.w);
            at.messages(tile, at.d);
            at.logits_and_gates(tile);
          }
          at.values(tile);
          // v becomes p w attention, so that the sum over edges is M v alone
          for_rows(team, tile.n, [&](std::int64_t e) {
            Scalar* const p = at.v + e * at.width;
            Scalar* const factor = at.w + e * at.stride;
            Scalar* const opening = at.scalars + e * 2 * at.stride + at.stride;
            for (int h = 0; h < heads; ++h) {
              const auto share = static_cast<Scalar>(attention((tile.first + e) * heads + h));
              Scalar* const part = factor + h * a.head_size;
              for_channels(team, a.head_size, [&](int c) { part[c] *= share; });
            }
            for_channels(team, at.stride, [&](int c) {
              opening[c] = sigmoid(opening[c]) * factor[c];
              p[c] = p[c] * sigmoid(p[c]) * factor[c];
            });
            for (int k = 1; k < at.d; ++k) {
              Scalar* const row = p + k * at.stride;
              for_channels(team, at.stride, [&](int c) { row[c] *= opening[c]; });
            }
          });
          barrier(team);
          for_centers_of_tile(edges, tile, [&](std::int32_t i, std::int64_t first, std::int64_t n) {
            multiply<true>(team,
                           at.d,
                           at.stride,
                           n * at.d,
                           Left<Scalar>{at.matrix_of(tile.first + first), 1, at.d},
                           row_major(at.v + first * at.width, at.stride),
                           out.row(i),
                           at.stride);
          });
        });
      });
}

/// Where the adjoints of m = source + center go.
template <class S> struct MessageAdjoints {
  Rows<typename S::Scalar> center; ///< adj_center, of which a team owns its group's rows
  /// adj_source, written at once where one thread does all; else
  Rows<typename S::Scalar> source;
  /// [edges of the chunk, d, stride], to be gathered by gather_messages
  typename S::Scalar* messages = nullptr;
  std::int64_t first_edge = 0; ///< of the chunk
};

/// Adjoint of attention for the groups first_group .. first_group + n_groups - 1. Makes everything
/// on the edges again.
///   adj_attention_h = sum of b p w over the channels of h, with b = M^T adj_out;  sum_e attention
///   adj_attention = adj_out . out adj_matrix [n_edges, d, d] and adj_distance [n_edges] are added
///   to; adj_center is overwritten or added to.
template <class S> void attention_adjoint(const typename S::Exec& space,
                                          const DeviceEdges<S>& edges,
                                          std::int32_t first_group,
                                          std::int32_t n_groups,
                                          std::int32_t tile_edges,
                                          const Array<S, typename S::Scalar>& matrix,
                                          const DeviceRadial<S>& radial,
                                          const DeviceAttention<S>& a,
                                          const Rows<typename S::Scalar>& source,
                                          const Rows<typename S::Scalar>& center,
                                          const Rows<typename S::Scalar>& out,
                                          const Array<S, typename S::Accum>& attention,
                                          const Rows<typename S::Scalar>& adj_out,
                                          const MessageAdjoints<S>& adjoints,
                                          plan::Write write_center,
                                          const Array<S, typename S::Scalar>& adj_matrix,
                                          const Array<S, typename S::Accum>& adj_distance) {
  using Scalar = typename S::Scalar;
  using Accum = typename S::Accum;
  using Team = typename S::Team;
  Kokkos::parallel_for(
      "eqnn::attention_adjoint",
      team_policy<S>(space,
                     n_groups,
                     AttentionTile<S>::scratch_bytes(a, tile_edges) +
                         Scratch<Team>::template bytes<Accum>(std::int64_t{tile_edges} * a.heads)),
      KOKKOS_LAMBDA(const Team& team) {
        const std::int32_t g = first_group + static_cast<std::int32_t>(team.league_rank());
        const AttentionTile<S> at(
            team, edges, a, radial, matrix.data(), source, center, tile_edges);
        Accum* const along =
            Scratch<Team>(team).template take<Accum>(std::int64_t{tile_edges} * a.heads);
        const int d = at.d;
        const int stride = at.stride;
        const int width = at.width;
        const int heads = a.heads;
        if (write_center == plan::Write::Overwrite) {
          clear_rows<S>(team, adjoints.center, edges.group(g), edges.group(g + 1));
        }
        for_tiles_of_group(team, edges, g, tile_edges, [&](const EdgeTile<S>& tile) {
          radial_rows<true>(team, radial, &edges.distance(tile.first), tile.n, at.w, at.slope);
          at.messages(tile, d);
          at.logits_and_gates(tile);
          at.values(tile);
          // u becomes b = M^T adj_out, and along[e, h] = adj_out . out of the edge's centre
          for_centers_of_tile(edges, tile, [&](std::int32_t i, std::int64_t first, std::int64_t n) {
            for (std::int64_t e = first; e < first + n; ++e) {
              multiply<false>(team,
                              d,
                              stride,
                              d,
                              Left<Scalar>{at.matrix_of(tile.first + e), d, 1},
                              row_major(adj_out.row(i), stride),
                              at.u + e * width,
                              stride);
            }
            for_rows(team, 1, [&](std::int64_t) {
              for (int h = 0; h < heads; ++h) {
                Accum sum = 0;
                for (int k = 0; k < d; ++k) {
                  const Scalar* const x = adj_out.row(i) + k * stride;
                  const Scalar* const y = out.row(i) + k * stride;
                  sum +=
                      sum_channels<Accum>(team, h * a.head_size, (h + 1) * a.head_size, [&](int c) {
                        return static_cast<Accum>(x[c] * y[c]);
                      });
                }
                once(team, [&]() {
                  for (std::int64_t e = first; e < first + n; ++e) {
                    along[e * heads + h] = sum;
                  }
                });
              }
            });
          });
          barrier(team);
          // u: b -> adjoint of the values; v: values -> p w attention; scalars: q, g -> their
          // adjoints
          for_rows(team, tile.n, [&](std::int64_t e) {
            Scalar* const b = at.u + e * width;
            Scalar* const v = at.v + e * width;
            Scalar* const q = at.scalars + e * 2 * stride;
            Scalar* const gates = q + stride;
            const Scalar* const w = at.w + e * stride;
            Scalar* const adj_w = at.work + e * 4 * stride;
            Scalar* const factor = adj_w + stride;
            Scalar* const share = factor + stride;
            Scalar* const adj_z = share + stride;
            // factor: sum over l > 0 of b v; adj_w: b . p, which is what attention and w multiply
            for_channels(team, stride, [&](int c) { factor[c] = 0; });
            for (int k = 1; k < d; ++k) {
              const Scalar* const b_row = b + k * stride;
              const Scalar* const v_row = v + k * stride;
              for_channels(team, stride, [&](int c) { factor[c] += b_row[c] * v_row[c]; });
            }
            for_channels(team, stride, [&](int c) {
              gates[c] = sigmoid(gates[c]);
              adj_w[c] = factor[c] * gates[c] + b[c] * v[c] * sigmoid(v[c]);
              share[c] = 0;
              adj_z[c] = 0;
            });
            for (int h = 0; h < heads; ++h) {
              const int begin = h * a.head_size;
              const int end = begin + a.head_size;
              const Accum of_edge = attention((tile.first + e) * heads + h);
              const Accum adj_share = sum_channels<Accum>(
                  team, begin, end, [&](int c) { return static_cast<Accum>(adj_w[c] * w[c]); });
              const auto adjoint =
                  static_cast<Scalar>(of_edge * (adj_share - along[e * heads + h]));
              for_channels(team, a.head_size, [&](int c) {
                share[begin + c] = static_cast<Scalar>(of_edge);
                adj_z[begin + c] = adjoint;
              });
            }
            for_channels(team, stride, [&](int c) {
              const Scalar s = sigmoid(v[c]);
              const Scalar share_w = share[c] * w[c];
              const Scalar opening = gates[c];
              gates[c] = share_w * factor[c] * opening * (Scalar(1) - opening);
              q[c] = adj_z[c] * a.logit_vector(c) *
                     smooth_leaky_relu_derivative(a.negative_slope, q[c], sigmoid(q[c]));
              adj_w[c] *= share[c];
              factor[c] = share_w * opening;
              b[c] *= share_w * silu_derivative(v[c], s);
              v[c] *= share_w * s;
            });
            for (int k = 1; k < d; ++k) {
              Scalar* const b_row = b + k * stride;
              Scalar* const v_row = v + k * stride;
              for_channels(team, stride, [&](int c) {
                b_row[c] *= factor[c];
                v_row[c] *= factor[c];
              });
            }
            add_outer(team,
                      d,
                      d,
                      stride,
                      v,
                      stride,
                      adj_out.row(edges.center(tile.first + e)),
                      stride,
                      adj_matrix.data() + (tile.first + e) * d * d);
          });
          barrier(team);
          // v: adjoint of u, through values, gates and logits
          multiply<false>(team,
                          static_cast<int>(tile.n) * d,
                          stride,
                          stride,
                          Left<Scalar>{at.u, stride, 1},
                          packed(a.value_adjoint.data(), stride),
                          at.v,
                          stride);
          multiply<true>(team,
                         static_cast<int>(tile.n),
                         stride,
                         2 * stride,
                         Left<Scalar>{at.scalars, 2 * stride, 1},
                         packed(a.scalar_adjoint.data(), 2 * stride),
                         at.v,
                         width);
          // u: M^T of it, which times w is the adjoint of m; m becomes m w
          for (std::int64_t e = 0; e < tile.n; ++e) {
            multiply<false>(team,
                            d,
                            stride,
                            d,
                            Left<Scalar>{at.matrix_of(tile.first + e), d, 1},
                            row_major(at.v + e * width, stride),
                            at.u + e * width,
                            stride);
          }
          for_rows(team, tile.n, [&](std::int64_t e) {
            const Scalar* const w = at.w + e * stride;
            const Scalar* const slope = at.slope + e * stride;
            Scalar* const adj_w = at.work + e * 4 * stride;
            for (int k = 0; k < d; ++k) {
              Scalar* const m_row = at.m + e * width + k * stride;
              Scalar* const u_row = at.u + e * width + k * stride;
              for_channels(team, stride, [&](int c) {
                adj_w[c] += m_row[c] * u_row[c];
                m_row[c] *= w[c];
                u_row[c] *= w[c];
              });
            }
            add_outer(team,
                      d,
                      d,
                      stride,
                      at.m + e * width,
                      stride,
                      at.v + e * width,
                      stride,
                      adj_matrix.data() + (tile.first + e) * d * d);
            const Accum total = sum_channels<Accum>(
                team, 0, stride, [&](int c) { return static_cast<Accum>(adj_w[c] * slope[c]); });
            once(team, [&]() { adj_distance(tile.first + e) += total; });
          });
          barrier(team);
          for_centers_of_tile(edges, tile, [&](std::int32_t i, std::int64_t first, std::int64_t n) {
            for_rows(team, d, [&](std::int64_t k) {
              Scalar* const row = adjoints.center.row(i) + k * stride;
              for (std::int64_t e = first; e < first + n; ++e) {
                const Scalar* const u_row = at.u + e * width + k * stride;
                for_channels(team, stride, [&](int c) { row[c] += u_row[c]; });
              }
            });
          });
          barrier(team);
          for_rows(team, tile.n, [&](std::int64_t e) {
            const Scalar* const u_row = at.u + e * width;
            if (adjoints.messages != nullptr) {
              Scalar* const row =
                  adjoints.messages + (tile.first + e - adjoints.first_edge) * width;
              for_channels(team, width, [&](int c) { row[c] = u_row[c]; });
            } else {
              Scalar* const row = adjoints.source.row(edges.source(tile.first + e));
              for_channels(team, width, [&](int c) { row[c] += u_row[c]; });
            }
          });
        });
      });
}

/// The edges of a chunk, ordered by their source: those of segment s are edge[begin[s]] ..
/// edge[begin[s+1]-1], in increasing order.
template <class S> struct SourceSegments {
  std::int32_t first_segment = 0, n_segments = 0;
  Array<S, const std::int64_t> begin;
  Array<S, const std::int64_t> edge;
};

/// adj_source[j] += the messages of the chunk's edges that come from j. Without atomics: one team
/// owns a source. Edges are added in increasing order, chunk after chunk, so the sum is the one
/// that a single thread makes.
template <class S> void gather_messages(const typename S::Exec& space,
                                        const DeviceEdges<S>& edges,
                                        const SourceSegments<S>& segments,
                                        const MessageAdjoints<S>& adjoints) {
  using Scalar = typename S::Scalar;
  using Team = typename S::Team;
  Kokkos::parallel_for(
      "eqnn::gather_messages",
      team_policy<S>(space, segments.n_segments, 0),
      KOKKOS_LAMBDA(const Team& team) {
        const std::int32_t s =
            segments.first_segment + static_cast<std::int32_t>(team.league_rank());
        const std::int32_t source = edges.source(segments.edge(segments.begin(s)));
        const int width = adjoints.source.width();
        for_rows(team, 1, [&](std::int64_t) {
          Scalar* const row = adjoints.source.row(source);
          for (std::int64_t k = segments.begin(s); k < segments.begin(s + 1); ++k) {
            const Scalar* const message =
                adjoints.messages + (segments.edge(k) - adjoints.first_edge) * width;
            for_channels(team, width, [&](int c) { row[c] += message[c]; });
          }
        });
      });
}

} // namespace eqnn::kernels
