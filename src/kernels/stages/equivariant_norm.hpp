// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernels/context.hpp"
#include "plan/stages/equivariant_norm.hpp"

namespace eqnn::kernels {

/// Per l, y = f scale_l / sqrt(mean f^2 + eps). For l = 0, f = x - mean, and a shift is added.
template <class S> struct DeviceEquivariantNorm {
  Array<S, typename S::Scalar> scale; ///< [l_max + 1, stride]
  Array<S, typename S::Scalar> shift; ///< [stride]
  double eps = 0.0;
};

template <class S> void equivariant_norm(const typename S::Exec& space,
                                         std::int64_t n_nodes,
                                         const DeviceEquivariantNorm<S>& weights,
                                         const Rows<typename S::Scalar>& in,
                                         const Rows<typename S::Scalar>& out) {
  using Scalar = typename S::Scalar;
  using Accum = typename S::Accum;
  for_node_tiles<S>(
      space,
      "eqnn::equivariant_norm",
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

/// Sums that the adjoint needs for one node and degree, with f = x - mean and q = adj_out scale.
template <class Accum> struct NormSums {
  Accum mean = 0, inverse = 0, along = 0, shift = 0;
};

template <class S> KOKKOS_FORCEINLINE_FUNCTION NormSums<typename S::Accum>
norm_sums(const typename S::Team& team,
          const DeviceEquivariantNorm<S>& weights,
          const Rows<typename S::Scalar>& in,
          int l,
          const typename S::Scalar* x,
          const typename S::Scalar* adj_y) {
  using Accum = typename S::Accum;
  const auto* const scale = weights.scale.data() + l * in.stride;
  const auto count = static_cast<Accum>((2 * l + 1) * in.channels);
  NormSums<Accum> sums;
  const Accum mean = l > 0 ? Accum(0) : sum_channels<Accum>(team, 0, in.channels, [&](int c) {
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
  if (l == 0) { // f sums to 0, so the mean of adj_f equals that of n q
    total = sum_channels<Accum>(
        team, 0, in.channels, [&](int c) { return static_cast<Accum>(adj_y[c] * scale[c]); });
  }
  sums.mean = mean;
  sums.inverse = Accum(1) / Kokkos::sqrt(square / count + static_cast<Accum>(weights.eps));
  sums.along = sums.inverse * sums.inverse * projection / count;
  sums.shift = l > 0 ? Accum(0) : total / count;
  return sums;
}

/// With q = adj_out scale and n = 1/sqrt(mean f^2 + eps): adj_f = n (q - f n^2 mean(q f)). For l =
/// 0, its mean is subtracted.
template <class S> void equivariant_norm_adjoint(const typename S::Exec& space,
                                                 std::int64_t n_nodes,
                                                 const DeviceEquivariantNorm<S>& weights,
                                                 const AdjointRows<typename S::Scalar>& rows) {
  using Scalar = typename S::Scalar;
  using Accum = typename S::Accum;
  const bool keep = rows.keep();
  const Rows<Scalar> in = rows.in;
  const Rows<Scalar> adj_out = rows.adj_out;
  const Rows<Scalar> adj_in = rows.adj_in;
  for_node_tiles<S>(
      space,
      "eqnn::equivariant_norm_adjoint",
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
            const NormSums<Accum> at = norm_sums<S>(team, weights, in, l, x, adj_y);
            for (int m = 0; m < 2 * l + 1; ++m) {
              for_channels(team, in.stride, [&](int c) {
                const int k = m * in.stride + c;
                const Accum f = static_cast<Accum>(x[k]) - at.mean;
                const Accum q = static_cast<Accum>(adj_y[k] * scale[c]);
                const Accum adjoint = at.inverse * (q - f * at.along - at.shift);
                adj_x[k] = (keep ? adj_x[k] : Scalar(0)) +
                           (c < in.channels ? static_cast<Scalar>(adjoint) : Scalar(0));
              });
            }
          }
        });
      });
}

template <class S> struct EquivariantNormStage {
  using Scalar = typename S::Scalar;

  plan::EquivariantNorm op;
  DeviceEquivariantNorm<S> weights;

  EquivariantNormStage(plan::EquivariantNorm host, DeviceTables<S>& tables)
      : op(std::move(host)) {
    weights.scale = tables.template array<Scalar>(
        "eqnn::norm_scale", DeviceTables<S>::pad_rows(op.scale, tables.channels_of(op.out)));
    weights.shift = tables.padded_vector("eqnn::norm_shift", op.shift);
    weights.eps = op.eps;
  }

  std::int32_t message_width(const DeviceTables<S>&) const { return 0; }

  void forward(const Context<S>& at) const {
    equivariant_norm(at.space(), at.n_centers(), weights, at.value(op.in), at.value(op.out));
  }

  void adjoint(const Context<S>& at) const {
    equivariant_norm_adjoint(at.space(), at.n_centers(), weights, at.adjoint_rows(op.in, op.out));
  }
};

} // namespace eqnn::kernels
