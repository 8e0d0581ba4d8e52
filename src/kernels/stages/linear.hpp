// SPDX-License-Identifier: BSD-3-Clause
// out = term + a linear map of each block, of all nodes or of each species, with a bias on the first
// component.
#pragma once

#include "kernels/context.hpp"
#include "plan/stages/linear.hpp"

#include <algorithm>

namespace eqnn::kernels {

/// A map of equal blocks on the device.
template <class S> struct DeviceMap {
  std::int32_t in = 0, out = 0, n_blocks = 1;
  Array<S, typename S::Scalar> weight;  ///< [1 or n_species][in, out], packed
  Array<S, typename S::Scalar> adjoint; ///< [1 or n_species][out, in], packed
  Array<S, typename S::Scalar> bias;    ///< [out.stride] or empty
  bool bias_per_neighbor = false;
  std::int64_t size = 0, adjoint_size = 0; ///< scalars of one species' matrix
};

/// Rows whose channels are mixed: of a tile of nodes, or of some of them.
template <class Scalar> struct ChannelRows {
  Scalar* data = nullptr;
  int width = 0;  ///< scalars from node to node
  int stride = 0; ///< from component to component

  KOKKOS_INLINE_FUNCTION ChannelRows(const Rows<Scalar>& rows, std::int64_t first)
      : data(rows.row(first))
      , width(rows.width())
      , stride(rows.stride) {}
};

/// out = or += W in, for so many nodes and components. One product where the components match; else one
/// per component.
template <bool Accumulate, class S>
KOKKOS_INLINE_FUNCTION void mix_channels(const typename S::Team& team,
                                         int n_nodes,
                                         int n_components,
                                         const ChannelRows<typename S::Scalar>& in,
                                         const typename S::Scalar* weight,
                                         const ChannelRows<typename S::Scalar>& out) {
  using Scalar = typename S::Scalar;
  if (in.width == n_components * in.stride && out.width == n_components * out.stride) {
    multiply<Accumulate>(team,
                         Extents{n_nodes * n_components, out.stride, in.stride},
                         Left<Scalar>{in.data, in.stride, 1},
                         packed(weight, in.stride),
                         Target<Scalar>{out.data, out.stride});
  } else {
    for (int k = 0; k < n_components; ++k) {
      multiply<Accumulate>(team,
                           Extents{n_nodes, out.stride, in.stride},
                           Left<Scalar>{in.data + k * in.stride, in.width, 1},
                           packed(weight, in.stride),
                           Target<Scalar>{out.data + k * out.stride, out.width});
    }
  }
}

/// out = term + W in, bias on the first component; term may be none.
template <class S> void linear(const typename S::Exec& space,
                               const DeviceEdges<S>& edges,
                               const DeviceMap<S>& map,
                               const Rows<typename S::Scalar>& in,
                               const Rows<typename S::Scalar>& term,
                               const Rows<typename S::Scalar>& out) {
  using Scalar = typename S::Scalar;
  const auto begin = edges.begin;
  for_node_tiles<S>(
      space,
      "eqnn::linear",
      edges.n_centers,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        mix_channels<false, S>(
            team, n, out.components, {in, first}, map.weight.data(), {out, first});
        for_rows(team, n, [&](std::int64_t r) {
          Scalar* const y = out.row(first + r);
          if (map.bias.extent(0) > 0) {
            const std::int64_t node = first + r;
            const Scalar times = map.bias_per_neighbor
                                     ? static_cast<Scalar>(begin(node + 1) - begin(node))
                                     : Scalar(1);
            for_channels(team, out.stride, [&](int c) { y[c] += times * map.bias(c); });
          }
          if (term.data != nullptr) {
            const Scalar* const x = term.row(first + r);
            for_channels(team, out.extent(), [&](int c) { y[c] += x[c]; });
          }
        });
      });
}

/// adj_in = or += adj_out W^T
template <class S> void linear_adjoint(const typename S::Exec& space,
                                       std::int64_t n_nodes,
                                       const DeviceMap<S>& map,
                                       const Rows<typename S::Scalar>& adj_out,
                                       const Rows<typename S::Scalar>& adj_in,
                                       plan::Write write) {
  for_node_tiles<S>(
      space,
      "eqnn::linear_adjoint",
      n_nodes,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        const auto* const weight = map.adjoint.data();
        if (write == plan::Write::Add) {
          mix_channels<true, S>(
              team, n, adj_out.components, {adj_out, first}, weight, {adj_in, first});
        } else {
          mix_channels<false, S>(
              team, n, adj_out.components, {adj_out, first}, weight, {adj_in, first});
        }
      });
}

/// Matrices of each species, and the name of the kernel.
template <class S> struct SpeciesWeights {
  const char* label;
  Array<S, typename S::Scalar> weight; ///< [n_species, size], packed
  std::int64_t size;
};

/// out = or += W_z in, z the node's species.
template <class S> void species_linear(const typename S::Exec& space,
                                       const DeviceEdges<S>& edges,
                                       const SpeciesWeights<S>& weights,
                                       const Rows<typename S::Scalar>& in,
                                       const Rows<typename S::Scalar>& out,
                                       plan::Write write) {
  const auto weight = weights.weight;
  const std::int64_t size = weights.size;
  for_node_tiles<S>(
      space,
      weights.label,
      edges.n_centers,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        // Neighbours in memory of one species go together.
        for (int r = 0; r < n;) {
          const std::int32_t species = edges.species(first + r);
          int end = r + 1;
          while (end < n && edges.species(first + end) == species) {
            ++end;
          }
          const auto* const w = weight.data() + species * size;
          if (write == plan::Write::Add) {
            mix_channels<true, S>(
                team, end - r, out.components, {in, first + r}, w, {out, first + r});
          } else {
            mix_channels<false, S>(
                team, end - r, out.components, {in, first + r}, w, {out, first + r});
          }
          r = end;
        }
      });
}

template <class S> struct LinearStage {
  using Scalar = typename S::Scalar;

  plan::Linear op;
  std::vector<DeviceMap<S>> maps;

  LinearStage(plan::Linear host, DeviceTables<S>& tables)
      : op(std::move(host)) {
    for (auto& map : op.maps) {
      maps.push_back(on_device(map, tables));
      map.weight.clear();
    }
  }

  std::int32_t message_width(const DeviceTables<S>&) const { return 0; }

  void forward(const Context<S>& at) const {
    for (const DeviceMap<S>& map : maps) {
      const Rows<Scalar> in = at.value_blocks(op.in.value, map.in, map.n_blocks);
      const Rows<Scalar> out = at.value_blocks(op.out, map.out, map.n_blocks);
      const Rows<Scalar> term = op.term.value == plan::kNoValue
                                    ? Rows<Scalar>{}
                                    : at.value_blocks(op.term.value, map.out, map.n_blocks);
      if (!op.per_species) {
        linear(at.space(), at.edges(), map, in, term, out);
        continue;
      }
      const SpeciesWeights<S> weights{"eqnn::species_linear", map.weight, map.size};
      species_linear(at.space(), at.edges(), weights, in, out, plan::Write::Overwrite);
      if (term.data != nullptr) {
        add_block<S>(at.space(), at.n_centers(), term, out, plan::Write::Add);
      }
    }
  }

  void adjoint(const Context<S>& at) const {
    clear_what_no_map_reads(at);
    for (const DeviceMap<S>& map : maps) {
      const Rows<Scalar> adj_out = at.adjoint_blocks(op.out, map.out, map.n_blocks);
      const Rows<Scalar> adj_in = at.adjoint_blocks(op.in.value, map.in, map.n_blocks);
      if (op.per_species) {
        const SpeciesWeights<S> weights{
            "eqnn::species_linear_adjoint", map.adjoint, map.adjoint_size};
        species_linear(at.space(), at.edges(), weights, adj_out, adj_in, op.in.adjoint);
      } else {
        linear_adjoint(at.space(), at.n_centers(), map, adj_out, adj_in, op.in.adjoint);
      }
    }
    if (op.term.value != plan::kNoValue) {
      add_adjoint<S>(
          at.space(), at.n_centers(), at.adjoint(op.out), at.adjoint(op.term), op.term.adjoint);
    }
  }

private:
  DeviceMap<S> on_device(const plan::BlockMap& map, DeviceTables<S>& tables) const {
    const plan::Block& in = tables.block(op.in.value, map.in);
    const plan::Block& out = tables.block(op.out, map.out);
    const std::int32_t in_stride = DeviceTables<S>::stride_of(in);
    const std::int32_t out_stride = DeviceTables<S>::stride_of(out);
    const std::size_t size =
        static_cast<std::size_t>(in.channels) * static_cast<std::size_t>(out.channels);
    std::vector<double> forward;
    std::vector<double> adjoint;
    for (std::size_t begin = 0; begin < map.weight.size(); begin += size) {
      const auto from = map.weight.begin() + static_cast<std::ptrdiff_t>(begin);
      const std::vector<double> weight(from, from + static_cast<std::ptrdiff_t>(size));
      const auto one = pack<Scalar>(weight, in.channels, out.channels, in_stride, out_stride);
      const auto other = pack<Scalar>(plan::transposed(weight, in.channels, out.channels),
                                      out.channels,
                                      in.channels,
                                      out_stride,
                                      in_stride);
      forward.insert(forward.end(), one.begin(), one.end());
      adjoint.insert(adjoint.end(), other.begin(), other.end());
    }
    const auto n_matrices = static_cast<std::int64_t>(map.weight.size() / size);
    DeviceMap<S> device;
    device.in = map.in;
    device.out = map.out;
    device.n_blocks = map.n_blocks;
    device.size = static_cast<std::int64_t>(forward.size()) / n_matrices;
    device.adjoint_size = static_cast<std::int64_t>(adjoint.size()) / n_matrices;
    device.weight = tables.template array<Scalar>("eqnn::linear_weight", forward);
    device.adjoint = tables.template array<Scalar>("eqnn::linear_adjoint_weight", adjoint);
    if (map.out == 0 && !op.bias.empty()) {
      device.bias = tables.template array<Scalar>("eqnn::linear_bias", pad(op.bias, out_stride));
      device.bias_per_neighbor = op.bias_per_neighbor;
    }
    return device;
  }

  void clear_what_no_map_reads(const Context<S>& at) const {
    const auto n_blocks = static_cast<std::int32_t>(at.tables().value(op.in.value).blocks.size());
    for (std::int32_t b = 0; op.in.adjoint == plan::Write::Overwrite && b < n_blocks; ++b) {
      const auto reads = [b](const DeviceMap<S>& map) {
        return map.in <= b && b < map.in + map.n_blocks;
      };
      if (std::none_of(maps.begin(), maps.end(), reads)) {
        clear_block<S>(at.space(), at.n_centers(), at.adjoint_blocks(op.in.value, b));
      }
    }
  }
};

} // namespace eqnn::kernels
