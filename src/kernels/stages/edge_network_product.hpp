// SPDX-License-Identifier: BSD-3-Clause
// Edge network product: an edge product with weights that a network computes from the radial basis
// and from scalars of both atoms. Hidden layers, weights and matrices exist for one tile and are
// recomputed in the adjoint. Formulas: docs/spec/stages/edge_network_product.md.
#pragma once

#include "kernels/stages/edge_network_product_tile.hpp"

namespace eqnn::kernels {

template <class S>
void edge_network_product(const typename S::Exec& space, const NetworkArrays<S>& arrays) {
  using Team = typename S::Team;
  Kokkos::parallel_for(
      "eqnn::edge_network_product",
      team_policy<S>(
          space, arrays.product.edges.n_groups, EdgeNetworkTile<S>::scratch_bytes(arrays)),
      KOKKOS_LAMBDA(const Team& team) {
        const auto g = static_cast<std::int32_t>(team.league_rank());
        const DeviceEdges<S>& edges = arrays.product.edges;
        const EdgeNetworkTile<S> at(team, arrays);
        clear_rows<S>(team, arrays.product.out, edges.group(g), edges.group(g + 1));
        for_tiles_of_group(team, edges, g, at.p.tile_edges, [&](const EdgeTile<S>& tile) {
          at.radial(tile);
          at.sum_first_layer(tile);
          at.run_network(tile);
          at.matrices(tile);
          at.sum_weighted_paths(tile);
        });
      });
}

/// Where the adjoint writes.
template <class S> struct NetworkAdjoints {
  ProductAdjoints<S> product; ///< its messages have the adjoint of the center
  plan::Write write_center = plan::Write::Add;
};

/// The steps of the adjoint, in order.
template <class S> struct EdgeNetworkAdjointTile : EdgeNetworkTile<S> {
  using Scalar = typename S::Scalar;
  using Accum = typename S::Accum;
  using Team = typename S::Team;
  using Tile = EdgeNetworkTile<S>;
  using Tile::adj_k;
  using Tile::hidden;
  using Tile::k;
  using Tile::net;
  using Tile::on;
  using Tile::p;
  using Tile::slope;
  using Tile::team;
  using Tile::weights;

  const ProductAdjoints<S>& to;
  Scalar* adj_weights; ///< [tile, n_weights]
  Scalar* adj_hidden;  ///< [tile, widest]
  Scalar* message;     ///< a row of the source, for one thread that works alone

  static std::size_t scratch_bytes(const NetworkArrays<S>& arrays) {
    const DeviceEdgeNetwork<S>& net = arrays.network;
    return Tile::scratch_bytes(arrays) +
           Scratch<Team>::template bytes<Scalar>(scalars(net, arrays.product.source.width()));
  }

  KOKKOS_INLINE_FUNCTION static std::int64_t scalars(const DeviceEdgeNetwork<S>& net,
                                                     std::int32_t source_width) {
    return std::int64_t{net.product.tile_edges} * (net.n_weights + net.widest) + source_width;
  }

  KOKKOS_INLINE_FUNCTION EdgeNetworkAdjointTile(const Team& team_,
                                                const NetworkArrays<S>& arrays,
                                                const ProductAdjoints<S>& adjoints)
      : Tile(team_, arrays)
      , to(adjoints) {
    adj_weights = Scratch<Team>(team_).template take<Scalar>(scalars(net, on.source.width()));
    adj_hidden = adj_weights + std::int64_t{p.tile_edges} * net.n_weights;
    message = adj_hidden + std::int64_t{p.tile_edges} * net.widest;
  }

  /// The row that waits for an edge's source, or null if one thread works alone.
  KOKKOS_FORCEINLINE_FUNCTION Scalar* waiting(std::int64_t edge) const {
    const MessageAdjoints<S>& messages = to.messages;
    return messages.messages == nullptr
               ? nullptr
               : messages.messages + (edge - messages.first_edge) * on.source.width();
  }

  /// Adjoints of all paths, edge by edge: messages, adj_weights and adj_k.
  KOKKOS_FORCEINLINE_FUNCTION void weighted_paths_adjoint(const EdgeTile<S>& tile) const {
    const int width = on.source.width();
    for_rows(team, tile.n, [&](std::int64_t e) {
      const std::int64_t edge = tile.first + e;
      // Sum over paths first, then over edges: the same order as with several threads.
      Scalar* const row = waiting(edge);
      Scalar* const adj_x = row != nullptr ? row : message;
      for_channels(team, width, [&](int c) { adj_x[c] = 0; });
      const Scalar* const x = on.source.row(on.edges.source(edge));
      const Scalar* const adj_y = on.out.row(on.edges.center(edge));
      const Scalar* const of_w = weights + e * net.n_weights;
      Scalar* const adj_w = adj_weights + e * net.n_weights;
      for_channels(team, net.n_weights, [&](int c) { adj_w[c] = 0; });
      for (int q = 0; q < p.n_paths; ++q) {
        path_adjoint(p.paths(q),
                     EdgeOperands<Scalar>{k + e * p.entries_stride,
                                          of_w,
                                          nullptr,
                                          x,
                                          adj_y,
                                          adj_x,
                                          adj_k + e * p.entries_stride},
                     adj_w);
      }
      if (row == nullptr) {
        Scalar* const of_source = to.messages.source.row(on.edges.source(edge));
        for_channels(team, width, [&](int c) { of_source[c] += adj_x[c]; });
      }
    });
    barrier(team);
  }

  KOKKOS_FORCEINLINE_FUNCTION void
  path_adjoint(const DevicePath& path, const EdgeOperands<Scalar>& at, Scalar* adj_w) const {
    const Scalar* const of_w = at.w + path.radial;
    Scalar* const of_adj_w = adj_w + path.radial;
    for (int i = 0; i < path.d1; ++i) {
      const Scalar* const x = at.x + path.source + i * path.source_stride;
      Scalar* const adj_x = at.adj_x + path.source + i * path.source_stride;
      for (int m = 0; m < path.d3; ++m) {
        const Scalar* const y = at.adj_y + path.out + m * path.out_stride;
        const int entry = path.entry + i * path.d3 + m;
        const Scalar factor = at.k[entry];
        const Scalar sum = sum_channels<Scalar>(team, 0, path.channels, [&](int c) {
          adj_x[c] += factor * of_w[c] * y[c];
          of_adj_w[c] += factor * x[c] * y[c];
          return of_w[c] * x[c] * y[c];
        });
        once(team, [&]() { at.adj_k[entry] = sum; });
      }
    }
  }

  /// From adj_weights back to the sum. Returns its adjoint, [tile, n_in of the first layer].
  KOKKOS_FORCEINLINE_FUNCTION const Scalar* network_adjoint(const EdgeTile<S>& tile) const {
    activation_of_weights_adjoint(tile);
    Scalar* from = adj_weights;
    Scalar* next = adj_hidden;
    for (int l = net.n_layers - 1; l >= 0; --l) {
      const DeviceNetworkLayer<S>& layer = net.layers[l];
      multiply<false>(team,
                      Extents{static_cast<int>(tile.n), layer.n_in, layer.n_out},
                      Left<Scalar>{from, layer.n_out, 1},
                      packed(layer.adjoint.data(), layer.n_out),
                      Target<Scalar>{next, layer.n_in});
      const Scalar* const inputs = this->before(l);
      for_function(layer.function, [&](auto function) {
        for_rows(team, tile.n, [&](std::int64_t e) {
          for_channels(team, layer.n_in, [&](int c) {
            const std::int64_t at = e * layer.n_in + c;
            next[at] *= activation_at<decltype(function)::value>(inputs[at]).slope;
          });
        });
      });
      barrier(team);
      Scalar* const free = from == adj_weights ? hidden : from;
      from = next;
      next = free;
    }
    return from;
  }

  /// adj_weights becomes the adjoint of the last layer's outputs.
  KOKKOS_FORCEINLINE_FUNCTION void activation_of_weights_adjoint(const EdgeTile<S>& tile) const {
    const Scalar* const last = this->before(net.n_layers);
    for_function(net.function, [&](auto function) {
      for_rows(team, tile.n, [&](std::int64_t e) {
        const std::int64_t first = e * net.n_weights;
        double value = 0.0;
        double slope_of_value = 0.0;
        this->envelope_of(tile.first + e, value, slope_of_value);
        if (net.envelope > 0.0) {
          const Accum total = sum_channels<Accum>(team, 0, net.n_weights, [&](int c) {
            return static_cast<Accum>(
                adj_weights[first + c] *
                activation_at<decltype(function)::value>(last[first + c]).value);
          });
          once(team, [&]() {
            to.adj_distance(tile.first + e) += total * static_cast<Accum>(slope_of_value);
          });
        }
        const auto u = static_cast<Scalar>(value);
        for_channels(team, net.n_weights, [&](int c) {
          adj_weights[first + c] *=
              u * activation_at<decltype(function)::value>(last[first + c]).slope;
        });
      });
    });
    barrier(team);
  }

  /// Passes the adjoint of the sum to its three parts.
  KOKKOS_FORCEINLINE_FUNCTION void give_sum(const EdgeTile<S>& tile, const Scalar* adj_sum) const {
    const int stride = net.layers[0].n_in;
    for_rows(team, tile.n, [&](std::int64_t e) {
      const std::int64_t edge = tile.first + e;
      const Scalar* const adjoint = adj_sum + e * stride;
      const Scalar* const of_slope = slope + e * on.radial.stride;
      const Accum total = sum_channels<Accum>(team, 0, net.scalars, [&](int c) {
        return static_cast<Accum>(adjoint[c] * of_slope[c]);
      });
      once(team, [&]() { to.adj_distance(edge) += total; });
      Scalar* const row = waiting(edge);
      Scalar* const of_source =
          (row != nullptr ? row : to.messages.source.row(on.edges.source(edge))) + net.first_scalar;
      for_channels(team, net.scalars, [&](int c) { of_source[c] += adjoint[c]; });
    });
    for_centers_of_tile(on.edges, tile, [&](std::int32_t i, std::int64_t first, std::int64_t n) {
      for_rows(team, 1, [&](std::int64_t) {
        Scalar* const row = to.messages.center.row(i);
        for (std::int64_t e = first; e < first + n; ++e) {
          for_channels(team, net.scalars, [&](int c) { row[c] += adj_sum[e * stride + c]; });
        }
      });
    });
    barrier(team);
  }
};

/// Adjoint for a chunk of groups. docs/spec/stages/edge_network_product.md
template <class S> void edge_network_product_adjoint(const typename S::Exec& space,
                                                     const EdgeSchedule::Chunk& chunk,
                                                     const NetworkArrays<S>& arrays,
                                                     const NetworkAdjoints<S>& adjoints) {
  using Team = typename S::Team;
  const std::int32_t first_group = chunk.first_group;
  Kokkos::parallel_for(
      "eqnn::edge_network_product_adjoint",
      team_policy<S>(space, chunk.n_groups, EdgeNetworkAdjointTile<S>::scratch_bytes(arrays)),
      KOKKOS_LAMBDA(const Team& team) {
        const std::int32_t g = first_group + static_cast<std::int32_t>(team.league_rank());
        const DeviceEdges<S>& edges = arrays.product.edges;
        const ProductAdjoints<S>& to = adjoints.product;
        const EdgeNetworkAdjointTile<S> at(team, arrays, to);
        if (adjoints.write_center == plan::Write::Overwrite) {
          clear_rows<S>(team, to.messages.center, edges.group(g), edges.group(g + 1));
        }
        for_tiles_of_group(team, edges, g, at.p.tile_edges, [&](const EdgeTile<S>& tile) {
          at.radial_with_slopes(tile);
          at.sum_first_layer(tile);
          at.run_network(tile);
          at.clear_adj_matrices(tile);
          at.matrices(tile);
          at.weighted_paths_adjoint(tile);
          at.give_sum(tile, at.network_adjoint(tile));
          at.matrices_adjoint(tile, to);
        });
      });
}

template <class S> struct EdgeNetworkProductStage {
  using Scalar = typename S::Scalar;

  plan::EdgeNetworkProduct op;
  DeviceEdgeNetwork<S> network;

  EdgeNetworkProductStage(plan::EdgeNetworkProduct host, DeviceTables<S>& tables)
      : op(std::move(host)) {
    std::vector<DevicePath> paths;
    paths.reserve(op.paths.size());
    for (const plan::Path& path : op.paths) {
      paths.push_back(device_path(path, op.source.value, op.out, tables));
    }
    DeviceEdgeNetwork<S>& net = network;
    net.product.paths = tables.template array<DevicePath>("eqnn::paths", paths);
    upload_couplings(op, tables, net.product);
    release(op.coupling);
    net.scalars = op.scalars;
    net.first_scalar = op.first_scalar;
    net.envelope = op.envelope;
    net.cutoff = op.cutoff;
    upload_layers(tables);
    const std::int64_t of_edge = EdgeNetworkTile<S>::width(net) + net.n_weights + net.widest +
                                 2 * (tables.radial_stride(op.radial) + net.product.entries_stride);
    const auto most =
        static_cast<std::int32_t>((S::kOnHost ? kNetworkTileBytes : kDeviceNetworkTileBytes) /
                                  (sizeof(Scalar) * static_cast<std::size_t>(of_edge)));
    net.product.tile_edges = std::clamp(most, kFewestTileEdges, kMostTileEdges);
  }

  std::int32_t message_width(const DeviceTables<S>& tables) const {
    return tables.pitch_of(op.source.value);
  }

  void forward(const Context<S>& at) const {
    edge_network_product(at.space(), arrays(at, at.value(op.out)));
  }

  void adjoint(const Context<S>& at) const {
    const NetworkArrays<S> reverse = arrays(at, at.adjoint(op.out));
    at.adjoint_along_edges(
        op.source,
        at.adjoint(op.center),
        [&](const EdgeSchedule::Chunk& chunk, const MessageAdjoints<S>& messages) {
          edge_network_product_adjoint(
              at.space(),
              chunk,
              reverse,
              NetworkAdjoints<S>{{messages, at.adj_harmonics(), at.adj_distance()},
                                 op.center.adjoint});
        });
  }

private:
  void upload_layers(DeviceTables<S>& tables) {
    DeviceEdgeNetwork<S>& net = network;
    KOKKOS_ASSERT(op.layers.size() <= kMostNetworkLayers); // the model's reader refuses more
    net.function = op.function;
    for (plan::NetworkLayer& layer : op.layers) {
      DeviceNetworkLayer<S>& out = net.layers[net.n_layers++];
      out.n_in = padded_channels<Scalar>(layer.n_in);
      out.n_out = padded_channels<Scalar>(layer.n_out);
      out.function = std::exchange(net.function, layer.function);
      out.first_in = net.n_values;
      out.weight =
          tables.packed_weight("eqnn::network_weight", layer.weight, layer.n_in, layer.n_out);
      out.adjoint = tables.packed_weight("eqnn::network_adjoint",
                                         plan::transposed(layer.weight, layer.n_in, layer.n_out),
                                         layer.n_out,
                                         layer.n_in);
      if (std::any_of(layer.bias.begin(), layer.bias.end(), [](double b) { return b != 0.0; })) {
        out.bias = tables.padded_vector("eqnn::network_bias", layer.bias);
      }
      net.n_values += out.n_in;
      net.widest = std::max(net.widest, out.n_in);
      net.n_weights = out.n_out;
      release(layer.weight);
    }
    net.n_values += net.n_weights;
  }

  NetworkArrays<S> arrays(const Context<S>& at, const Rows<Scalar>& out) const {
    return {{at.edges(),
             network.product,
             at.radial(op.radial),
             at.harmonics(),
             at.value(op.source),
             out},
            network,
            at.value(op.center)};
  }
};

} // namespace eqnn::kernels
