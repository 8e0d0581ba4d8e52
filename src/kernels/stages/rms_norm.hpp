// SPDX-License-Identifier: BSD-3-Clause
// y = x W / sqrt(mean over blocks of mean x^2 + eps).
#pragma once

#include "kernels/context.hpp"
#include "plan/stages/rms_norm.hpp"

namespace eqnn::kernels {

/// A block within a row. share: the weight of each of its squares in the mean.
struct NormBlock {
  std::int32_t first = 0, components = 0, channels = 0, stride = 0;
  std::int32_t scale = 0; ///< first of its scales
  double share = 0.0;
};

template <class S> struct DeviceRmsNorm {
  std::int32_t n_blocks = 0;
  double eps = 0.0;
  Array<S, const NormBlock> blocks;
  Array<S, typename S::Scalar> scale;
};

/// 1 / (root mean square of a row, with eps).
template <class S>
KOKKOS_INLINE_FUNCTION typename S::Accum inverse_rms(const typename S::Team& team,
                                                     const DeviceRmsNorm<S>& norm,
                                                     const typename S::Scalar* x) {
  using Accum = typename S::Accum;
  auto mean = static_cast<Accum>(norm.eps);
  for (int b = 0; b < norm.n_blocks; ++b) {
    const NormBlock block = norm.blocks(b);
    Accum square = 0;
    for (int m = 0; m < block.components; ++m) {
      const auto* const row = x + block.first + m * block.stride;
      square += sum_channels<Accum>(team, 0, block.channels, [&](int c) {
        return static_cast<Accum>(row[c]) * static_cast<Accum>(row[c]);
      });
    }
    mean += square * static_cast<Accum>(block.share);
  }
  return Accum(1) / Kokkos::sqrt(mean);
}

template <class S> void rms_norm(const typename S::Exec& space,
                                 std::int64_t n_nodes,
                                 const DeviceRmsNorm<S>& norm,
                                 const Rows<typename S::Scalar>& in,
                                 const Rows<typename S::Scalar>& out) {
  using Scalar = typename S::Scalar;
  for_node_tiles<S>(
      space,
      "eqnn::rms_norm",
      n_nodes,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        for_rows(team, n, [&](std::int64_t r) {
          const Scalar* const x = in.row(first + r);
          const auto inverse = static_cast<Scalar>(inverse_rms(team, norm, x));
          for (int b = 0; b < norm.n_blocks; ++b) {
            const NormBlock block = norm.blocks(b);
            const Scalar* const scale = norm.scale.data() + block.scale;
            for (int m = 0; m < block.components; ++m) {
              const Scalar* const row = x + block.first + m * block.stride;
              Scalar* const y = out.row(first + r) + block.first + m * block.stride;
              for_channels(team, block.stride, [&](int c) { y[c] = row[c] * scale[c] * inverse; });
            }
          }
        });
      });
}

/// adj_x = or += n (q - n^2 share x sum q x), with q = adj_y W and n from inverse_rms.
template <class S> void rms_norm_adjoint(const typename S::Exec& space,
                                         std::int64_t n_nodes,
                                         const DeviceRmsNorm<S>& norm,
                                         const AdjointRows<typename S::Scalar>& rows) {
  using Scalar = typename S::Scalar;
  using Accum = typename S::Accum;
  const bool keep = rows.keep();
  const Rows<Scalar> in = rows.in;
  const Rows<Scalar> adj_out = rows.adj_out;
  const Rows<Scalar> adj_in = rows.adj_in;
  for_node_tiles<S>(
      space,
      "eqnn::rms_norm_adjoint",
      n_nodes,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        for_rows(team, n, [&](std::int64_t r) {
          const Scalar* const x = in.row(first + r);
          const Scalar* const adj_y = adj_out.row(first + r);
          const Accum inverse = inverse_rms(team, norm, x);
          Accum projection = 0;
          for (int b = 0; b < norm.n_blocks; ++b) {
            const NormBlock block = norm.blocks(b);
            const Scalar* const scale = norm.scale.data() + block.scale;
            for (int m = 0; m < block.components; ++m) {
              const int begin = block.first + m * block.stride;
              projection += sum_channels<Accum>(team, 0, block.channels, [&](int c) {
                return static_cast<Accum>(adj_y[begin + c] * scale[c]) *
                       static_cast<Accum>(x[begin + c]);
              });
            }
          }
          for (int b = 0; b < norm.n_blocks; ++b) {
            const NormBlock block = norm.blocks(b);
            const Scalar* const scale = norm.scale.data() + block.scale;
            const auto along = static_cast<Scalar>(inverse * inverse * inverse * projection *
                                                   static_cast<Accum>(block.share));
            for (int m = 0; m < block.components; ++m) {
              const int begin = block.first + m * block.stride;
              Scalar* const adj_x = adj_in.row(first + r) + begin;
              for_channels(team, block.stride, [&](int c) {
                const Scalar adjoint = static_cast<Scalar>(inverse) * adj_y[begin + c] * scale[c] -
                                       along * x[begin + c];
                adj_x[c] = keep ? adj_x[c] + adjoint : adjoint;
              });
            }
          }
        });
      });
}

template <class S> struct RmsNormStage {
  using Scalar = typename S::Scalar;

  plan::RmsNorm op;
  DeviceRmsNorm<S> norm;

  RmsNormStage(plan::RmsNorm host, DeviceTables<S>& tables)
      : op(std::move(host)) {
    std::vector<NormBlock> blocks;
    std::vector<double> scale;
    const auto& of_value = tables.value(op.out).blocks;
    for (std::size_t b = 0; b < of_value.size(); ++b) {
      const plan::Block& block = of_value[b];
      blocks.push_back(
          {tables.first_of(op.out, static_cast<std::int32_t>(b)),
           block.components,
           block.channels,
           DeviceTables<S>::stride_of(block),
           static_cast<std::int32_t>(scale.size()),
           1.0 / (static_cast<double>(of_value.size()) * block.components * block.channels)});
      const auto padded = pad(op.scale[b], DeviceTables<S>::stride_of(block));
      scale.insert(scale.end(), padded.begin(), padded.end());
    }
    norm.n_blocks = static_cast<std::int32_t>(blocks.size());
    norm.eps = op.eps;
    norm.blocks = tables.template array<NormBlock>("eqnn::norm_blocks", blocks);
    norm.scale = tables.template array<Scalar>("eqnn::rms_scale", scale);
  }

  std::int32_t message_width(const DeviceTables<S>&) const { return 0; }

  void forward(const Context<S>& at) const {
    rms_norm(at.space(), at.n_centers(), norm, at.value(op.in), at.value(op.out));
  }

  void adjoint(const Context<S>& at) const {
    rms_norm_adjoint(at.space(), at.n_centers(), norm, at.adjoint_rows(op.in, op.out));
  }
};

} // namespace eqnn::kernels
