// SPDX-License-Identifier: BSD-3-Clause
// out = term + a linear map of each block, with one matrix for all nodes or one per species, and a
// bias on the first component.
#pragma once

#include "kernels/context.hpp"
#include "plan/stages/linear.hpp"

#include <algorithm>

namespace eqnn::kernels {

/// A map of equal blocks in the direction of a kernel: forward or reverse.
template <class Scalar> struct DeviceMap {
  std::int32_t from = 0,
               from_stride = 0; ///< first scalar in a row, scalars between components
  std::int32_t to = 0, to_stride = 0;
  std::int32_t components = 0;
  const Scalar* weight = nullptr;         ///< [1 or n_species][from_stride, to_stride], packed
  std::int64_t size = 0;                  ///< scalars of one species' matrix
  const Scalar* bias = nullptr;           ///< [to_stride], or null
  std::int32_t term = 0, term_stride = 0; ///< place of the blocks in the rows of the term
};

/// All maps of a stage.
template <class S> struct DeviceMaps {
  Array<S, const DeviceMap<typename S::Scalar>> maps;
  std::int32_t n_maps = 0;
  bool per_species = false, bias_per_neighbor = false;
};

/// Rows whose channels are mixed, of all nodes of a tile or of some.
template <class Scalar> struct ChannelRows {
  Scalar* data = nullptr;
  int width = 0;  ///< scalars between nodes
  int stride = 0; ///< scalars between components
};

/// out = or += W in, for n_nodes nodes and n_components components. A single product if the rows
/// hold nothing else; otherwise one per component.
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

/// A stage's maps and the rows that they connect. term: rows added to `to`, or none.
template <class S> struct LinearArrays {
  using Scalar = typename S::Scalar;
  using Team = typename S::Team;

  DeviceEdges<S> edges;
  DeviceMaps<S> maps;
  Rows<Scalar> from, term, to;
  plan::Write write = plan::Write::Overwrite;

  /// One map for n nodes that share a matrix.
  KOKKOS_INLINE_FUNCTION void mix(const Team& team,
                                  const DeviceMap<Scalar>& map,
                                  std::int64_t first,
                                  int n,
                                  const Scalar* weight) const {
    const ChannelRows<Scalar> in{from.row(first) + map.from, from.width(), map.from_stride};
    const ChannelRows<Scalar> out{to.row(first) + map.to, to.width(), map.to_stride};
    if (write == plan::Write::Add) {
      mix_channels<true, S>(team, n, map.components, in, weight, out);
    } else {
      mix_channels<false, S>(team, n, map.components, in, weight, out);
    }
  }

  /// One map for n nodes. With a matrix per species, consecutive nodes of one species go together.
  KOKKOS_INLINE_FUNCTION void
  mix(const Team& team, const DeviceMap<Scalar>& map, std::int64_t first, int n) const {
    if (!maps.per_species) {
      return mix(team, map, first, n, map.weight);
    }
    for (int r = 0; r < n;) {
      const std::int32_t species = edges.species(first + r);
      int end = r + 1;
      while (end < n && edges.species(first + end) == species) {
        ++end;
      }
      mix(team, map, first + r, end - r, map.weight + species * map.size);
      r = end;
    }
  }

  /// Adds the bias on the first component, and the term.
  KOKKOS_INLINE_FUNCTION void
  add_rest(const Team& team, const DeviceMap<Scalar>& map, std::int64_t first, int n) const {
    for_rows(team, n, [&](std::int64_t r) {
      const std::int64_t node = first + r;
      Scalar* const y = to.row(node) + map.to;
      if (map.bias != nullptr) {
        const Scalar times = maps.bias_per_neighbor
                                 ? static_cast<Scalar>(edges.begin(node + 1) - edges.begin(node))
                                 : Scalar(1);
        for_channels(team, map.to_stride, [&](int c) { y[c] += times * map.bias[c]; });
      }
      if (term.data != nullptr) {
        const Scalar* const x = term.row(node) + map.term;
        const int both = map.to_stride < map.term_stride ? map.to_stride : map.term_stride;
        for (int k = 0; k < map.components; ++k) {
          for_channels(
              team, both, [&](int c) { y[k * map.to_stride + c] += x[k * map.term_stride + c]; });
        }
      }
    });
  }
};

/// to = term + W from, with the bias on the first component, or to += W from. All maps of a stage
/// run in one launch, with one team per map and tile of nodes.
template <class S>
void linear(const typename S::Exec& space, const char* label, const LinearArrays<S>& on) {
  for_node_tiles<S>(
      space,
      label,
      on.edges.n_centers,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n, int part) {
        const DeviceMap<typename S::Scalar> map = on.maps.maps(part);
        on.mix(team, map, first, n);
        on.add_rest(team, map, first, n);
      },
      on.maps.n_maps);
}

template <class S> struct LinearStage {
  using Scalar = typename S::Scalar;

  plan::Linear op;
  DeviceMaps<S> forward_maps, adjoint_maps;

  LinearStage(plan::Linear host, DeviceTables<S>& tables)
      : op(std::move(host)) {
    std::vector<DeviceMap<Scalar>> forward, adjoint;
    for (auto& map : op.maps) {
      add_map(map, tables, forward, adjoint);
      release(map.weight);
    }
    forward_maps = on_device(forward, tables);
    adjoint_maps = on_device(adjoint, tables);
  }

  std::int32_t message_width(const DeviceTables<S>&) const { return 0; }

  void forward(const Context<S>& at) const {
    const Rows<Scalar> term = op.term.value == plan::kNoValue ? Rows<Scalar>{} : at.value(op.term);
    linear(at.space(),
           op.per_species ? "eqnn::species_linear" : "eqnn::linear",
           LinearArrays<S>{at.edges(), forward_maps, at.value(op.in), term, at.value(op.out)});
  }

  void adjoint(const Context<S>& at) const {
    clear_what_no_map_reads(at);
    linear(at.space(),
           op.per_species ? "eqnn::species_linear_adjoint" : "eqnn::linear_adjoint",
           LinearArrays<S>{
               at.edges(), adjoint_maps, at.adjoint(op.out), {}, at.adjoint(op.in), op.in.adjoint});
    if (op.term.value != plan::kNoValue) {
      add_adjoint<S>(
          at.space(), at.n_centers(), at.adjoint(op.out), at.adjoint(op.term), op.term.adjoint);
    }
  }

private:
  std::vector<Array<S, Scalar>> weights_; ///< the matrices and biases that the maps point to

  DeviceMaps<S> on_device(const std::vector<DeviceMap<Scalar>>& maps,
                          DeviceTables<S>& tables) const {
    return {tables.template array<DeviceMap<Scalar>>("eqnn::linear_maps", maps),
            static_cast<std::int32_t>(maps.size()),
            op.per_species,
            op.bias_per_neighbor};
  }

  const Scalar*
  keep(const char* label, const std::vector<double>& numbers, DeviceTables<S>& tables) {
    weights_.push_back(tables.template array<Scalar>(label, numbers));
    return weights_.back().data();
  }

  void add_map(const plan::BlockMap& map,
               DeviceTables<S>& tables,
               std::vector<DeviceMap<Scalar>>& to_forward,
               std::vector<DeviceMap<Scalar>>& to_adjoint) {
    const plan::Block& in = tables.block(op.in.value, map.in);
    const plan::Block& out = tables.block(op.out, map.out);
    const std::int32_t in_stride = DeviceTables<S>::stride_of(in);
    const std::int32_t out_stride = DeviceTables<S>::stride_of(out);
    const std::size_t size =
        static_cast<std::size_t>(in.channels) * static_cast<std::size_t>(out.channels);
    std::vector<double> weight;
    std::vector<double> transposed;
    for (std::size_t begin = 0; begin < map.weight.size(); begin += size) {
      const auto from = map.weight.begin() + static_cast<std::ptrdiff_t>(begin);
      const std::vector<double> matrix(from, from + static_cast<std::ptrdiff_t>(size));
      const auto one = pack<Scalar>(matrix, in.channels, out.channels, in_stride, out_stride);
      const auto other = pack<Scalar>(plan::transposed(matrix, in.channels, out.channels),
                                      out.channels,
                                      in.channels,
                                      out_stride,
                                      in_stride);
      weight.insert(weight.end(), one.begin(), one.end());
      transposed.insert(transposed.end(), other.begin(), other.end());
    }
    const auto n_matrices = static_cast<std::int64_t>(map.weight.size() / size);
    DeviceMap<Scalar> forward;
    forward.from = tables.first_of(op.in.value, map.in);
    forward.from_stride = in_stride;
    forward.to = tables.first_of(op.out, map.out);
    forward.to_stride = out_stride;
    for (std::int32_t k = 0; k < map.n_blocks; ++k) {
      forward.components += tables.block(op.out, map.out + k).components;
    }
    DeviceMap<Scalar> adjoint{forward.to, out_stride, forward.from, in_stride, forward.components};
    forward.weight = keep("eqnn::linear_weight", weight, tables);
    forward.size = static_cast<std::int64_t>(weight.size()) / n_matrices;
    adjoint.weight = keep("eqnn::linear_adjoint_weight", transposed, tables);
    adjoint.size = static_cast<std::int64_t>(transposed.size()) / n_matrices;
    if (map.out == 0 && !op.bias.empty()) {
      forward.bias = keep("eqnn::linear_bias", pad(op.bias, out_stride), tables);
    }
    if (op.term.value != plan::kNoValue) {
      forward.term = tables.first_of(op.term.value, map.out);
      forward.term_stride = DeviceTables<S>::stride_of(tables.block(op.term.value, map.out));
    }
    to_forward.push_back(forward);
    to_adjoint.push_back(adjoint);
  }

  void clear_what_no_map_reads(const Context<S>& at) const {
    const auto n_blocks = static_cast<std::int32_t>(at.tables().value(op.in.value).blocks.size());
    for (std::int32_t b = 0; op.in.adjoint == plan::Write::Overwrite && b < n_blocks; ++b) {
      const auto reads = [b](const plan::BlockMap& map) {
        return map.in <= b && b < map.in + map.n_blocks;
      };
      if (std::none_of(op.maps.begin(), op.maps.end(), reads)) {
        clear_block<S>(at.space(), at.n_centers(), at.adjoint_blocks(op.in.value, b));
      }
    }
  }
};

} // namespace eqnn::kernels
