// SPDX-License-Identifier: BSD-3-Clause
// Edge network product on one tile of edges: its buffers, and the steps of the forward pass, which
// the adjoint repeats. Used by stages/edge_network_product.hpp.
#pragma once

#include "kernels/math.hpp"
#include "kernels/stages/edge_product.hpp"
#include "model/stages/edge_network_product.hpp"
#include "plan/stages/edge_network_product.hpp"

namespace eqnn::kernels {

/// z -> W activation(z) + b. Widths are padded.
template <class S> struct DeviceNetworkLayer {
  std::int32_t n_in = 0, n_out = 0;
  std::int32_t function = 0;            ///< applied to the inputs: plan::kIdentity ...
  std::int32_t first_in = 0;            ///< the input's place among the values before activations
  Array<S, typename S::Scalar> weight;  ///< [n_in; n_out], packed
  Array<S, typename S::Scalar> adjoint; ///< [n_out; n_in], packed
  Array<S, typename S::Scalar> bias;    ///< [n_out]; empty: none
};

template <class S> struct DeviceEdgeNetwork {
  DeviceEdgeProduct<S> product;
  std::int32_t scalars = 0, first_scalar = 0; ///< of a source's row, which the network takes
  std::int32_t n_layers = 0;
  DeviceNetworkLayer<S> layers[kMostNetworkLayers];
  std::int32_t function = 0;  ///< applied to the last layer's outputs
  std::int32_t n_weights = 0; ///< outputs, padded
  std::int32_t n_values = 0;  ///< values before activations, of the sum and of all layers
  std::int32_t widest = 0;    ///< largest n_in
  double envelope = 0.0, cutoff = 0.0;
};

/// The polynomial envelope at r and its slope.
KOKKOS_INLINE_FUNCTION void
polynomial_envelope(double p, double cutoff, double r, double& value, double& slope) {
  const double x = r / cutoff;
  const double power = Kokkos::pow(x, p - 1.0);
  const double last = 0.5 * p * (p + 1.0);
  value = 1.0 - power * x * (0.5 * (p + 1.0) * (p + 2.0) - x * (p * (p + 2.0) - x * last));
  slope = -last * (p + 2.0) * power * (1.0 - x) * (1.0 - x) / cutoff;
}

/// The arrays of the stage, forward and in reverse.
template <class S> struct NetworkArrays {
  ProductArrays<S> product;
  DeviceEdgeNetwork<S> network;
  Rows<typename S::Scalar> center;
};

/// Buffers of one tile, and the steps of the forward pass. Those of EdgeProductTile hold the radial
/// part of the sum.
template <class S> struct EdgeNetworkTile : EdgeProductTile<S> {
  using Scalar = typename S::Scalar;
  using Team = typename S::Team;
  using Tile = EdgeProductTile<S>;
  using Tile::k;
  using Tile::on;
  using Tile::p;
  using Tile::team;
  using Tile::w;

  const DeviceEdgeNetwork<S>& net;
  const Rows<Scalar>& center;
  Scalar* z;       ///< values before activations: of the sum, then layer after layer, [tile, n_out]
  Scalar* weights; ///< [tile, n_weights]
  Scalar* hidden;  ///< [tile, widest]

  /// Scalars per edge.
  static std::int64_t width(const DeviceEdgeNetwork<S>& net) {
    return std::int64_t{net.n_values} + net.n_weights + net.widest;
  }

  static std::size_t scratch_bytes(const NetworkArrays<S>& arrays) {
    const DeviceEdgeNetwork<S>& net = arrays.network;
    return Tile::scratch_bytes(arrays.product) +
           Scratch<Team>::template bytes<Scalar>(net.product.tile_edges * width(net));
  }

  KOKKOS_INLINE_FUNCTION EdgeNetworkTile(const Team& team_, const NetworkArrays<S>& arrays)
      : Tile(team_, arrays.product)
      , net(arrays.network)
      , center(arrays.center) {
    const std::int64_t n = p.tile_edges;
    z = Scratch<Team>(team_).template take<Scalar>(
        n * (std::int64_t{net.n_values} + net.n_weights + net.widest));
    weights = z + n * net.n_values;
    hidden = weights + n * net.n_weights;
  }

  /// Values before the activation that layer l applies to its inputs; l = n_layers: those of the
  /// last one's outputs.
  KOKKOS_FORCEINLINE_FUNCTION Scalar* before(int l) const {
    return z + std::int64_t{p.tile_edges} *
                   (l < net.n_layers ? net.layers[l].first_in : net.n_values - net.n_weights);
  }

  /// The sum: radial part, scalars of the source and of the center.
  KOKKOS_FORCEINLINE_FUNCTION void sum_first_layer(const EdgeTile<S>& tile) const {
    const int stride = net.layers[0].n_in;
    for_rows(team, tile.n, [&](std::int64_t e) {
      const Scalar* const r = w + e * on.radial.stride;
      const Scalar* const s = on.source.row(on.edges.source(tile.first + e)) + net.first_scalar;
      const Scalar* const t = center.row(on.edges.center(tile.first + e));
      Scalar* const sum = z + e * stride;
      for_channels(team, net.scalars, [&](int c) { sum[c] = r[c] + s[c] + t[c]; });
      for_channels(team, stride - net.scalars, [&](int c) { sum[net.scalars + c] = 0; });
    });
    barrier(team);
  }

  /// All layers, then the weights with their envelope.
  KOKKOS_FORCEINLINE_FUNCTION void run_network(const EdgeTile<S>& tile) const {
    for (int l = 0; l < net.n_layers; ++l) {
      const DeviceNetworkLayer<S>& layer = net.layers[l];
      const Scalar* const from = before(l);
      for_function(layer.function, [&](auto function) {
        for_rows(team, tile.n, [&](std::int64_t e) {
          for_channels(team, layer.n_in, [&](int c) {
            hidden[e * layer.n_in + c] =
                activation_at<decltype(function)::value>(from[e * layer.n_in + c]).value;
          });
        });
      });
      barrier(team);
      Scalar* const to = before(l + 1);
      multiply<false>(team,
                      Extents{static_cast<int>(tile.n), layer.n_out, layer.n_in},
                      Left<Scalar>{hidden, layer.n_in, 1},
                      packed(layer.weight.data(), layer.n_in),
                      Target<Scalar>{to, layer.n_out});
      if (layer.bias.extent(0) > 0) {
        for_rows(team, tile.n, [&](std::int64_t e) {
          for_channels(team, layer.n_out, [&](int c) { to[e * layer.n_out + c] += layer.bias(c); });
        });
        barrier(team);
      }
    }
    finish_weights(tile);
  }

  /// The envelope of an edge and its slope.
  KOKKOS_FORCEINLINE_FUNCTION void
  envelope_of(std::int64_t edge, double& value, double& slope_of_value) const {
    value = 1.0;
    slope_of_value = 0.0;
    if (net.envelope > 0.0) {
      polynomial_envelope(net.envelope, net.cutoff, on.edges.distance(edge), value, slope_of_value);
    }
  }

  KOKKOS_FORCEINLINE_FUNCTION void finish_weights(const EdgeTile<S>& tile) const {
    const Scalar* const from = before(net.n_layers);
    for_function(net.function, [&](auto function) {
      for_rows(team, tile.n, [&](std::int64_t e) {
        double value = 0.0;
        double slope_of_value = 0.0;
        envelope_of(tile.first + e, value, slope_of_value);
        const auto u = static_cast<Scalar>(value);
        for_channels(team, net.n_weights, [&](int c) {
          const std::int64_t at = e * net.n_weights + c;
          weights[at] = u * activation_at<decltype(function)::value>(from[at]).value;
        });
      });
    });
    barrier(team);
  }

  /// out += all paths of the tile's edges. A thread owns a row of a path's output.
  KOKKOS_FORCEINLINE_FUNCTION void sum_weighted_paths(const EdgeTile<S>& tile) const {
    for_centers_of_tile(on.edges, tile, [&](std::int32_t i, std::int64_t first, std::int64_t n) {
      for (int q = 0; q < p.n_paths; ++q) {
        const DevicePath path = p.paths(q);
        for_rows(team, path.d3, [&](std::int64_t m) {
          Scalar* const y = on.out.row(i) + path.out + m * path.out_stride;
          for (std::int64_t e = first; e < first + n; ++e) {
            const Scalar* const x = on.source.row(on.edges.source(tile.first + e)) + path.source;
            const Scalar* const entry = k + e * p.entries_stride + path.entry + m;
            const Scalar* const of_w = weights + e * net.n_weights + path.radial;
            for (int c1 = 0; c1 < path.d1; ++c1) {
              const Scalar factor = entry[c1 * path.d3];
              const Scalar* const row = x + c1 * path.source_stride;
              for_channels(team, path.channels, [&](int c) { y[c] += factor * of_w[c] * row[c]; });
            }
          }
        });
        barrier(team);
      }
    });
  }
};

} // namespace eqnn::kernels
