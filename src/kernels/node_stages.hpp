// SPDX-License-Identifier: BSD-3-Clause
// Stages that work on each node alone: embedding, linear, add, equivariant norm, gate, readout;
// each beside its adjoint. Formulas: docs/spec/model_file.md. Only owned atoms are computed; ghosts
// get their rows from the HaloExchange. An adjoint writes dE/d(input): it overwrites or adds, as
// the plan's schedule says.
#pragma once

#include "kernels/math.hpp"
#include "kernels/tile_multiply.hpp"
#include "plan/plan.hpp"

namespace eqnn::kernels {

/// Teams of kTileNodes nodes: calls body(team, first node, number of nodes).
template <class S, class Body> void for_node_tiles(const typename S::Exec& space,
                                                   const char* label,
                                                   std::int64_t n_nodes,
                                                   std::size_t scratch_bytes,
                                                   const Body& body) {
  Kokkos::parallel_for(
      label,
      team_policy<S>(space, (n_nodes + kTileNodes - 1) / kTileNodes, scratch_bytes),
      KOKKOS_LAMBDA(const typename S::Team& team) {
        const std::int64_t first = std::int64_t{team.league_rank()} * kTileNodes;
        body(team,
             first,
             static_cast<int>(first + kTileNodes <= n_nodes ? kTileNodes : n_nodes - first));
      });
}

/// Zeros in rows begin .. end-1.
template <class S> void clear(const typename S::Exec& space,
                              const Rows<typename S::Scalar>& x,
                              std::int64_t begin,
                              std::int64_t end) {
  typename S::Scalar* const data = x.row(begin);
  Kokkos::parallel_for(
      "eqnn::clear",
      typename S::Range(space, 0, (end - begin) * x.width()),
      KOKKOS_LAMBDA(std::int64_t k) { data[k] = 0; });
}

// ---- species embedding: row l = 0 is the species' row, the others 0. No gradient. ----

template <class S> void embedding(const typename S::Exec& space,
                                  const DeviceEdges<S>& edges,
                                  const Array<S, typename S::Scalar>& table,
                                  const Rows<typename S::Scalar>& out) {
  for_node_tiles<S>(
      space,
      "eqnn::embedding",
      edges.n_centers,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        for_rows(team, n, [&](std::int64_t r) {
          typename S::Scalar* const x = out.row(first + r);
          const typename S::Scalar* const species =
              table.data() + std::int64_t{edges.species(first + r)} * out.stride;
          for_channels(team, out.width(), [&](int c) {
            x[c] = c < out.stride ? species[c] : typename S::Scalar(0);
          });
        });
      });
}

// ---- linear: out = residual + W in, bias on l = 0 ----

template <class S> struct DeviceLinear {
  Array<S, typename S::Scalar> weight;  ///< [in, out], packed
  Array<S, typename S::Scalar> adjoint; ///< [out, in], packed
  Array<S, typename S::Scalar> bias;    ///< [out.stride] or empty
  bool bias_per_neighbor = false;
};

/// One product where the components match; else one per component.
template <bool Accumulate, class S>
KOKKOS_INLINE_FUNCTION void mix_channels(const typename S::Team& team,
                                         int n_nodes,
                                         int n_components,
                                         const typename S::Scalar* in,
                                         int in_width,
                                         int in_stride,
                                         const typename S::Scalar* weight,
                                         typename S::Scalar* out,
                                         int out_width,
                                         int out_stride) {
  using Scalar = typename S::Scalar;
  if (in_width == n_components * in_stride && out_width == n_components * out_stride) {
    multiply<Accumulate>(team,
                         n_nodes * n_components,
                         out_stride,
                         in_stride,
                         Left<Scalar>{in, in_stride, 1},
                         packed(weight, in_stride),
                         out,
                         out_stride);
  } else {
    for (int k = 0; k < n_components; ++k) {
      multiply<Accumulate>(team,
                           n_nodes,
                           out_stride,
                           in_stride,
                           Left<Scalar>{in + k * in_stride, in_width, 1},
                           packed(weight, in_stride),
                           out + k * out_stride,
                           out_width);
    }
  }
}

template <class S> void linear(const typename S::Exec& space,
                               const DeviceEdges<S>& edges,
                               const DeviceLinear<S>& weights,
                               const Rows<typename S::Scalar>& in,
                               const Rows<typename S::Scalar>& residual,
                               const Rows<typename S::Scalar>& out) {
  using Scalar = typename S::Scalar;
  const auto begin = edges.begin;
  for_node_tiles<S>(
      space,
      "eqnn::linear",
      edges.n_centers,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        mix_channels<false, S>(team,
                               n,
                               out.components,
                               in.row(first),
                               in.width(),
                               in.stride,
                               weights.weight.data(),
                               out.row(first),
                               out.width(),
                               out.stride);
        for_rows(team, n, [&](std::int64_t r) {
          Scalar* const y = out.row(first + r);
          if (weights.bias.extent(0) > 0) {
            const std::int64_t node = first + r;
            const Scalar times = weights.bias_per_neighbor
                                     ? static_cast<Scalar>(begin(node + 1) - begin(node))
                                     : Scalar(1);
            for_channels(team, out.stride, [&](int c) { y[c] += times * weights.bias(c); });
          }
          if (residual.data != nullptr) {
            const Scalar* const x = residual.row(first + r);
            for_channels(team, out.extent(), [&](int c) { y[c] += x[c]; });
          }
        });
      });
}

/// adj_in = or += adj_out W^T; components of the input that the output has not get 0.
template <class S> void linear_adjoint(const typename S::Exec& space,
                                       std::int64_t n_nodes,
                                       const DeviceLinear<S>& weights,
                                       const Rows<typename S::Scalar>& adj_out,
                                       const Rows<typename S::Scalar>& adj_in,
                                       plan::Write write) {
  using Scalar = typename S::Scalar;
  for_node_tiles<S>(
      space,
      "eqnn::linear_adjoint",
      n_nodes,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        if (write == plan::Write::Add) {
          mix_channels<true, S>(team,
                                n,
                                adj_out.components,
                                adj_out.row(first),
                                adj_out.width(),
                                adj_out.stride,
                                weights.adjoint.data(),
                                adj_in.row(first),
                                adj_in.width(),
                                adj_in.stride);
        } else {
          mix_channels<false, S>(team,
                                 n,
                                 adj_out.components,
                                 adj_out.row(first),
                                 adj_out.width(),
                                 adj_out.stride,
                                 weights.adjoint.data(),
                                 adj_in.row(first),
                                 adj_in.width(),
                                 adj_in.stride);
          for_rows(team, n, [&](std::int64_t r) {
            Scalar* const x = adj_in.row(first + r) + adj_out.components * adj_in.stride;
            for_channels(team,
                         (adj_in.components - adj_out.components) * adj_in.stride,
                         [&](int c) { x[c] = 0; });
          });
        }
      });
}

// ---- add: out = a + b ----

template <class S> void add(const typename S::Exec& space,
                            std::int64_t n_nodes,
                            const Rows<typename S::Scalar>& a,
                            const Rows<typename S::Scalar>& b,
                            const Rows<typename S::Scalar>& out) {
  for_node_tiles<S>(
      space,
      "eqnn::add",
      n_nodes,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        for_rows(team, n, [&](std::int64_t r) {
          for_channels(team, out.width(), [&](int c) {
            out.row(first + r)[c] = a.row(first + r)[c] + b.row(first + r)[c];
          });
        });
      });
}

/// out = in
template <class S> void copy(const typename S::Exec& space,
                             std::int64_t n_nodes,
                             const Rows<typename S::Scalar>& in,
                             const Rows<typename S::Scalar>& out) {
  const auto* const from = in.data;
  auto* const to = out.data;
  Kokkos::parallel_for(
      "eqnn::copy",
      typename S::Range(space, 0, n_nodes * out.width()),
      KOKKOS_LAMBDA(std::int64_t k) { to[k] = from[k]; });
}

/// adj_in = or += adj_out: the adjoint of one term of a sum
template <class S> void add_adjoint(const typename S::Exec& space,
                                    std::int64_t n_nodes,
                                    const Rows<typename S::Scalar>& adj_out,
                                    const Rows<typename S::Scalar>& adj_in,
                                    plan::Write write) {
  const auto keep = static_cast<typename S::Scalar>(write == plan::Write::Add ? 1 : 0);
  for_node_tiles<S>(
      space,
      "eqnn::add_adjoint",
      n_nodes,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        for_rows(team, n, [&](std::int64_t r) {
          auto* const x = adj_in.row(first + r);
          const auto* const y = adj_out.row(first + r);
          if (keep == 0) { // a buffer that was never written may hold NaN: 0 times it is not 0
            for_channels(team, adj_in.width(), [&](int c) { x[c] = y[c]; });
          } else {
            for_channels(team, adj_in.width(), [&](int c) { x[c] += y[c]; });
          }
        });
      });
}

// ---- equivariant norm: per l, y = f scale_l / sqrt(mean f^2 + eps); for l = 0, f = x - mean, and a shift

template <class S> struct DeviceNorm {
  Array<S, typename S::Scalar> scale; ///< [l_max + 1, stride]
  Array<S, typename S::Scalar> shift; ///< [stride]
  double eps = 0.0;
};

template <class S> void norm(const typename S::Exec& space,
                             std::int64_t n_nodes,
                             const DeviceNorm<S>& weights,
                             const Rows<typename S::Scalar>& in,
                             const Rows<typename S::Scalar>& out) {
  using Scalar = typename S::Scalar;
  using Accum = typename S::Accum;
  for_node_tiles<S>(
      space,
      "eqnn::norm",
      n_nodes,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        for_rows(team, n, [&](std::int64_t r) {
          for (int l = 0; l * l < in.components; ++l) {
            const Scalar* const x = in.row(first + r) + l * l * in.stride;
            Scalar* const y = out.row(first + r) + l * l * in.stride;
            const Accum mean =
                l > 0 ? Accum(0) : sum_channels<Accum>(team, 0, in.channels, [&](int c) {
                                     return static_cast<Accum>(x[c]);
                                   }) / static_cast<Accum>(in.channels);
            Accum square = 0;
            for (int m = 0; m < 2 * l + 1; ++m) {
              square += sum_channels<Accum>(team, 0, in.channels, [&](int c) {
                const Accum f = static_cast<Accum>(x[m * in.stride + c]) - mean;
                return f * f;
              });
            }
            const Accum inverse =
                Accum(1) / Kokkos::sqrt(square / static_cast<Accum>((2 * l + 1) * in.channels) +
                                        static_cast<Accum>(weights.eps));
            const Scalar* const scale = weights.scale.data() + l * in.stride;
            for (int m = 0; m < 2 * l + 1; ++m) {
              for_channels(team, in.stride, [&](int c) {
                y[m * in.stride + c] =
                    static_cast<Scalar>((static_cast<Accum>(x[m * in.stride + c]) - mean) *
                                        inverse) *
                    scale[c];
              });
            }
            if (l == 0) {
              for_channels(team, in.stride, [&](int c) { y[c] += weights.shift(c); });
            }
          }
        });
      });
}

/// With q = adj_out scale and n = 1/sqrt(mean f^2 + eps): adj_f = n (q - f n^2 mean(q f)); for l =
/// 0 less its mean.
template <class S> void norm_adjoint(const typename S::Exec& space,
                                     std::int64_t n_nodes,
                                     const DeviceNorm<S>& weights,
                                     const Rows<typename S::Scalar>& in,
                                     const Rows<typename S::Scalar>& adj_out,
                                     const Rows<typename S::Scalar>& adj_in,
                                     plan::Write write) {
  using Scalar = typename S::Scalar;
  using Accum = typename S::Accum;
  const bool keep = write == plan::Write::Add;
  for_node_tiles<S>(
      space,
      "eqnn::norm_adjoint",
      n_nodes,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        for_rows(team, n, [&](std::int64_t r) {
          for (int l = 0; l * l < in.components; ++l) {
            const std::int64_t offset = (first + r) * in.width() + l * l * in.stride;
            const Scalar* const x = in.data + offset;
            const Scalar* const adj_y = adj_out.data + offset;
            Scalar* const adj_x = adj_in.data + offset;
            const Scalar* const scale = weights.scale.data() + l * in.stride;
            const auto count = static_cast<Accum>((2 * l + 1) * in.channels);
            const Accum mean =
                l > 0 ? Accum(0) : sum_channels<Accum>(team, 0, in.channels, [&](int c) {
                                     return static_cast<Accum>(x[c]);
                                   }) / count;
            Accum square = 0;
            Accum projection = 0; // sum q f
            Accum total = 0;      // sum q
            for (int m = 0; m < 2 * l + 1; ++m) {
              square += sum_channels<Accum>(team, 0, in.channels, [&](int c) {
                const Accum f = static_cast<Accum>(x[m * in.stride + c]) - mean;
                return f * f;
              });
              projection += sum_channels<Accum>(team, 0, in.channels, [&](int c) {
                return static_cast<Accum>(adj_y[m * in.stride + c] * scale[c]) *
                       (static_cast<Accum>(x[m * in.stride + c]) - mean);
              });
            }
            const Accum inverse =
                Accum(1) / Kokkos::sqrt(square / count + static_cast<Accum>(weights.eps));
            if (l == 0) { // f sums to 0, so the mean of adj_f is that of n q
              total = sum_channels<Accum>(team, 0, in.channels, [&](int c) {
                return static_cast<Accum>(adj_y[c] * scale[c]);
              });
            }
            const Accum along = inverse * inverse * projection / count;
            const Accum shift = l > 0 ? Accum(0) : total / count;
            for (int m = 0; m < 2 * l + 1; ++m) {
              for_channels(team, in.stride, [&](int c) {
                const int k = m * in.stride + c;
                const Accum f = static_cast<Accum>(x[k]) - mean;
                const Accum adjoint =
                    inverse * (static_cast<Accum>(adj_y[k] * scale[c]) - f * along - shift);
                adj_x[k] = (keep ? adj_x[k] : Scalar(0)) +
                           (c < in.channels ? static_cast<Scalar>(adjoint) : Scalar(0));
              });
            }
          }
        });
      });
}

// ---- gate: l = 0: silu(x), l > 0: x sigmoid(gate) ----

template <class S> void gate(const typename S::Exec& space,
                             std::int64_t n_nodes,
                             const Rows<typename S::Scalar>& in,
                             const Rows<typename S::Scalar>& gates,
                             const Rows<typename S::Scalar>& out) {
  for_node_tiles<S>(
      space,
      "eqnn::gate",
      n_nodes,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        for_rows(team, n, [&](std::int64_t r) {
          const auto* const x = in.row(first + r);
          const auto* const g = gates.row(first + r);
          auto* const y = out.row(first + r);
          for_channels(team, in.stride, [&](int c) { y[c] = x[c] * sigmoid(x[c]); });
          if (in.components > 1) {
            // the l = 1 row holds sigmoid(gate) until its own turn, the last
            auto* const opening = y + in.stride;
            for_channels(team, in.stride, [&](int c) { opening[c] = sigmoid(g[c]); });
            for (int k = in.components - 1; k > 0; --k) {
              for_channels(team, in.stride, [&](int c) {
                y[k * in.stride + c] = x[k * in.stride + c] * opening[c];
              });
            }
          }
        });
      });
}

template <class S> void gate_adjoint(const typename S::Exec& space,
                                     std::int64_t n_nodes,
                                     const Rows<typename S::Scalar>& in,
                                     const Rows<typename S::Scalar>& gates,
                                     const Rows<typename S::Scalar>& adj_out,
                                     const Rows<typename S::Scalar>& adj_in,
                                     plan::Write write_in,
                                     const Rows<typename S::Scalar>& adj_gates,
                                     plan::Write write_gates) {
  using Scalar = typename S::Scalar;
  const bool keep_in = write_in == plan::Write::Add;
  const bool keep_gates = write_gates == plan::Write::Add;
  for_node_tiles<S>(
      space,
      "eqnn::gate_adjoint",
      n_nodes,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        for_rows(team, n, [&](std::int64_t r) {
          const Scalar* const x = in.row(first + r);
          const Scalar* const g = gates.row(first + r);
          const Scalar* const adj_y = adj_out.row(first + r);
          Scalar* const adj_x = adj_in.row(first + r);
          Scalar* const adj_g = adj_gates.row(first + r);
          for_channels(team, in.stride, [&](int c) {
            const Scalar s = sigmoid(x[c]);
            const Scalar opening = sigmoid(g[c]);
            adj_x[c] = (keep_in ? adj_x[c] : Scalar(0)) + adj_y[c] * silu_derivative(x[c], s);
            Scalar sum = 0;
            for (int k = 1; k < in.components; ++k) {
              sum += adj_y[k * in.stride + c] * x[k * in.stride + c];
              adj_x[k * in.stride + c] = (keep_in ? adj_x[k * in.stride + c] : Scalar(0)) +
                                         adj_y[k * in.stride + c] * opening;
            }
            adj_g[c] = (keep_gates ? adj_g[c] : Scalar(0)) + sum * opening * (Scalar(1) - opening);
          });
        });
      });
}

// ---- readout: energy += MLP of the l = 0 row ----

template <class S> struct DeviceDense {
  std::int32_t n_in = 0, n_out = 0;
  bool silu = false;
  Array<S, typename S::Accum> weight; ///< [n_out, n_in]
  Array<S, typename S::Accum> bias;   ///< [n_out]
};

inline constexpr int kMaxReadoutLayers = 8;

template <class S> struct DeviceReadout {
  int n_layers = 0;
  int widest = 0;   ///< largest n_in or n_out
  int n_hidden = 0; ///< sum of n_out over all layers
  DeviceDense<S> layers[kMaxReadoutLayers];
};

template <class S> std::size_t readout_scratch(const DeviceReadout<S>& readout) {
  return Scratch<typename S::Team>::template bytes<typename S::Accum>(2 * readout.n_hidden +
                                                                      2 * readout.widest);
}

/// Values before activation of all layers, one after another, in `pre`; `x` holds the input and
/// then each layer's output.
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
    for_channels(
        team, layer.n_out, [&](int o) { y[o] = layer.silu ? pre[o] * sigmoid(pre[o]) : pre[o]; });
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
          once(team, [&]() { energy(node) += static_cast<double>(pre[readout.n_hidden - 1]); });
        });
      });
}

/// adj_in = or += seed[node] d(MLP)/dx on l = 0; recomputes the layers.
template <class S> void readout_adjoint(const typename S::Exec& space,
                                        std::int64_t n_nodes,
                                        const DeviceReadout<S>& readout,
                                        const Array<S, double>& seed,
                                        const Rows<typename S::Scalar>& in,
                                        const Rows<typename S::Scalar>& adj_in,
                                        plan::Write write) {
  using Scalar = typename S::Scalar;
  using Accum = typename S::Accum;
  const bool keep = write == plan::Write::Add;
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
            for_channels(team, layer.n_out, [&](int o) {
              adj_y[o] *= layer.silu ? silu_derivative(z[o], sigmoid(z[o])) : Accum(1);
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

} // namespace eqnn::kernels
