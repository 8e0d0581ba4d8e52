// SPDX-License-Identifier: BSD-3-Clause
// energy += MLP of the l = 0 row.
#pragma once

#include "kernels/context.hpp"
#include "kernels/math.hpp"
#include "model/stages/readout.hpp"
#include "plan/stages/readout.hpp"

namespace eqnn::kernels {

template <class S> struct DeviceDense {
  std::int32_t n_in = 0, n_out = 0;
  std::int32_t function = 0;          ///< plan::kIdentity ...
  Array<S, typename S::Accum> weight; ///< [n_out, n_in]
  Array<S, typename S::Accum> bias;   ///< [n_out]
};

template <class S> struct DeviceReadout {
  int n_layers = 0;
  int widest = 0;   ///< largest n_in or n_out
  int n_hidden = 0; ///< sum of n_out over all layers
  DeviceDense<S> layers[kMostReadoutLayers];
};

template <class S> std::size_t readout_scratch(const DeviceReadout<S>& readout) {
  return Scratch<typename S::Team>::template bytes<typename S::Accum>(2 * readout.n_hidden +
                                                                      2 * readout.widest);
}

/// Writes the values before activation to `pre`, layer after layer. x holds the input; then y and x
/// take turns holding the output of a layer.
template <class S> KOKKOS_INLINE_FUNCTION void run_layers(const typename S::Team& team,
                                                          const DeviceReadout<S>& readout,
                                                          typename S::Accum* x,
                                                          typename S::Accum* y,
                                                          typename S::Accum* pre) {
  using Accum = typename S::Accum;
  for (int k = 0; k < readout.n_layers; ++k) {
    const DeviceDense<S>& layer = readout.layers[k];
    for (int o = 0; o < layer.n_out; ++o) {
      const Accum* const row = layer.weight.data() + std::int64_t{o} * layer.n_in;
      const Accum sum =
          sum_channels<Accum>(team, 0, layer.n_in, [&](int c) { return row[c] * x[c]; });
      once(team, [&]() { pre[o] = sum + layer.bias(o); });
    }
    for_function(layer.function, [&](auto function) {
      for_channels(team, layer.n_out, [&](int o) {
        y[o] = activation_at<decltype(function)::value>(pre[o]).value;
      });
    });
    pre += layer.n_out;
    Accum* const swap = x;
    x = y;
    y = swap;
  }
}

/// One node per team: energies in double, the MLP in Accum.
template <class S> void readout(const typename S::Exec& space,
                                std::int64_t n_nodes,
                                const DeviceReadout<S>& readout,
                                const Rows<typename S::Scalar>& in,
                                const Array<S, double>& energy) {
  using Accum = typename S::Accum;
  Kokkos::parallel_for(
      "eqnn::readout",
      team_policy<S>(space, n_nodes, readout_scratch(readout)),
      KOKKOS_LAMBDA(const typename S::Team& team) {
        const std::int64_t node = team.league_rank();
        const Scratch<typename S::Team> scratch(team);
        Accum* const pre = scratch.template take<Accum>(2 * readout.n_hidden + 2 * readout.widest);
        Accum* const x = pre + 2 * readout.n_hidden;
        for_rows(team, 1, [&](std::int64_t) {
          for_channels(
              team, in.channels, [&](int c) { x[c] = static_cast<Accum>(in.row(node)[c]); });
          run_layers(team, readout, x, x + readout.widest, pre);
          once(team, [&]() {
            const Accum z = pre[readout.n_hidden - 1];
            for_function(readout.layers[readout.n_layers - 1].function, [&](auto function) {
              energy(node) +=
                  static_cast<double>(activation_at<decltype(function)::value>(z).value);
            });
          });
        });
      });
}

/// adj_in = or += seed[node] d(MLP)/dx on l = 0; recomputes the layers.
template <class S> void readout_adjoint(const typename S::Exec& space,
                                        std::int64_t n_nodes,
                                        const DeviceReadout<S>& readout,
                                        const Array<S, double>& seed,
                                        const AdjointRows<typename S::Scalar>& rows) {
  using Scalar = typename S::Scalar;
  using Accum = typename S::Accum;
  const bool keep = rows.keep();
  const Rows<Scalar> in = rows.in;
  const Rows<Scalar> adj_in = rows.adj_in;
  Kokkos::parallel_for(
      "eqnn::readout_adjoint",
      team_policy<S>(space, n_nodes, readout_scratch(readout)),
      KOKKOS_LAMBDA(const typename S::Team& team) {
        const std::int64_t node = team.league_rank();
        const Scratch<typename S::Team> scratch(team);
        Accum* const pre = scratch.template take<Accum>(2 * readout.n_hidden + 2 * readout.widest);
        Accum* adj_y = pre + 2 * readout.n_hidden;
        Accum* adj_x = adj_y + readout.widest;
        for_rows(team, 1, [&](std::int64_t) {
          for_channels(
              team, in.channels, [&](int c) { adj_y[c] = static_cast<Accum>(in.row(node)[c]); });
          run_layers(team, readout, adj_y, adj_x, pre);
          once(team, [&]() { adj_y[0] = static_cast<Accum>(seed(node)); });
          int end = readout.n_hidden;
          for (int k = readout.n_layers - 1; k >= 0; --k) {
            const DeviceDense<S>& layer = readout.layers[k];
            const Accum* const z = pre + end - layer.n_out;
            end -= layer.n_out;
            for_function(layer.function, [&](auto function) {
              for_channels(team, layer.n_out, [&](int o) {
                adj_y[o] *= activation_at<decltype(function)::value>(z[o]).slope;
              });
            });
            for_channels(team, layer.n_in, [&](int c) { adj_x[c] = 0; });
            for (int o = 0; o < layer.n_out; ++o) {
              const Accum* const row = layer.weight.data() + std::int64_t{o} * layer.n_in;
              const Accum adjoint = adj_y[o];
              for_channels(team, layer.n_in, [&](int c) { adj_x[c] += row[c] * adjoint; });
            }
            Accum* const swap = adj_y;
            adj_y = adj_x;
            adj_x = swap;
          }
          Scalar* const out = adj_in.row(node);
          for_channels(team, adj_in.width(), [&](int c) {
            out[c] = (keep ? out[c] : Scalar(0)) +
                     (c < in.channels ? static_cast<Scalar>(adj_y[c]) : Scalar(0));
          });
        });
      });
}

template <class S> struct ReadoutStage {
  using Scalar = typename S::Scalar;

  plan::Readout op;
  DeviceReadout<S> weights;

  ReadoutStage(plan::Readout host, DeviceTables<S>& tables)
      : op(std::move(host)) {
    using Accum = typename S::Accum;
    DeviceReadout<S>& out = weights;
    KOKKOS_ASSERT(op.layers.size() <= kMostReadoutLayers); // the model's reader refuses more
    for (const auto& layer : op.layers) {
      DeviceDense<S>& dense = out.layers[out.n_layers++];
      dense.n_in = layer.n_in;
      dense.n_out = layer.n_out;
      dense.function = layer.function;
      dense.weight = tables.template array<Accum>("eqnn::readout_weight", layer.weight);
      dense.bias = tables.template array<Accum>("eqnn::readout_bias", layer.bias);
      out.widest = std::max({out.widest, layer.n_in, layer.n_out});
      out.n_hidden += layer.n_out;
    }
    op.layers.clear();
  }

  std::int32_t message_width(const DeviceTables<S>&) const { return 0; }

  void forward(const Context<S>& at) const {
    readout(at.space(), at.n_centers(), weights, at.value(op.in), at.energy());
  }

  void adjoint(const Context<S>& at) const {
    readout_adjoint(
        at.space(), at.n_centers(), weights, at.seed(), at.adjoint_rows(op.in, plan::kNoValue));
  }
};

} // namespace eqnn::kernels
