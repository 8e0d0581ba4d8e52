// SPDX-License-Identifier: BSD-3-Clause
// y = x f(n), with the norm n of each channel of a block.
#pragma once

#include "kernels/context.hpp"
#include "kernels/math.hpp"
#include "plan/stages/norm_activation.hpp"

namespace eqnn::kernels {

/// f(n), and n f'(n).
template <class T> struct NormFactor {
  T value, slope;
};

/// The factor at a norm n > 0. For functions of norms near 0, f = function(n)/n is written without
/// differences of nearly equal numbers.
template <std::int32_t Function, class T>
KOKKOS_FORCEINLINE_FUNCTION NormFactor<T> norm_factor_at(T n, T scale) {
  if constexpr (Function == plan::kSilu) {
    const T s = sigmoid(n);
    return {s, n * s * (T(1) - s)};
  } else if constexpr (Function == plan::kTanh) {
    const T t = Kokkos::tanh(n);
    const T f = t / n;
    return {f, T(1) - t * t - f};
  } else if constexpr (Function == plan::kShiftedSoftplus) {
    const T f = T(1) + Kokkos::log1p(T(0.5) * Kokkos::expm1(-n)) / n;
    return {f, sigmoid(n) - f};
  } else { // soft normalization
    const T u = n * scale;
    const T step = exponential(T(-1) / u);
    const T f = T(1) / (T(1) + u * step);
    return {f, -f * f * step * (T(1) + u)};
  }
}

/// Calls body(std::integral_constant<std::int32_t, function>) for the functions of norms.
template <class Body>
KOKKOS_FORCEINLINE_FUNCTION void for_norm_function(std::int32_t function, const Body& body) {
  switch (function) {
  case plan::kSilu:
    return body(std::integral_constant<std::int32_t, plan::kSilu>{});
  case plan::kTanh:
    return body(std::integral_constant<std::int32_t, plan::kTanh>{});
  case plan::kShiftedSoftplus:
    return body(std::integral_constant<std::int32_t, plan::kShiftedSoftplus>{});
  default:
    return body(std::integral_constant<std::int32_t, plan::kIdentity>{});
  }
}

/// The function that one call applies to a block.
template <class Scalar> struct NormFunction {
  std::int32_t function = 0;
  Scalar scale = 0, least = 0;
};

template <class S> void norm_activation(const typename S::Exec& space,
                                        std::int64_t n_nodes,
                                        const NormFunction<typename S::Scalar>& of,
                                        const Rows<typename S::Scalar>& in,
                                        const Rows<typename S::Scalar>& out) {
  using Scalar = typename S::Scalar;
  for_node_tiles<S>(
      space,
      "eqnn::norm_activation",
      n_nodes,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        const Scalar least = of.least * of.least;
        for_rows(team, n, [&](std::int64_t r) {
          const Scalar* const x = in.row(first + r);
          Scalar* const y = out.row(first + r);
          for_norm_function(of.function, [&](auto function) {
            for_channels(team, out.stride, [&](int c) {
              Scalar square = 0;
              for (int m = 0; m < out.components; ++m) {
                square += x[m * in.stride + c] * x[m * in.stride + c];
              }
              const Scalar norm = Kokkos::sqrt(square > least ? square : least);
              const Scalar f = norm_factor_at<decltype(function)::value>(norm, of.scale).value;
              for (int m = 0; m < out.components; ++m) {
                y[m * out.stride + c] = x[m * in.stride + c] * f;
              }
            });
          });
        });
      });
}

/// adj_x = or += f adj_y + (n f'(n) / n^2) x sum x adj_y. The second term ends where norms count as
/// the least one.
template <class S> void norm_activation_adjoint(const typename S::Exec& space,
                                                std::int64_t n_nodes,
                                                const NormFunction<typename S::Scalar>& of,
                                                const AdjointRows<typename S::Scalar>& rows) {
  using Scalar = typename S::Scalar;
  const bool keep = rows.keep();
  const Rows<Scalar> in = rows.in;
  const Rows<Scalar> adj_out = rows.adj_out;
  const Rows<Scalar> adj_in = rows.adj_in;
  for_node_tiles<S>(
      space,
      "eqnn::norm_activation_adjoint",
      n_nodes,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        const Scalar least = of.least * of.least;
        for_rows(team, n, [&](std::int64_t r) {
          const Scalar* const x = in.row(first + r);
          const Scalar* const adj_y = adj_out.row(first + r);
          Scalar* const adj_x = adj_in.row(first + r);
          for_norm_function(of.function, [&](auto function) {
            for_channels(team, in.stride, [&](int c) {
              Scalar square = 0;
              Scalar along = 0;
              for (int m = 0; m < in.components; ++m) {
                square += x[m * in.stride + c] * x[m * in.stride + c];
                along += x[m * in.stride + c] * adj_y[m * adj_out.stride + c];
              }
              const bool is_above = square > least;
              const Scalar at = is_above ? square : least;
              const NormFactor<Scalar> f =
                  norm_factor_at<decltype(function)::value>(Kokkos::sqrt(at), of.scale);
              const Scalar radial = is_above ? f.slope / at * along : Scalar(0);
              for (int m = 0; m < in.components; ++m) {
                const Scalar adjoint =
                    f.value * adj_y[m * adj_out.stride + c] + radial * x[m * in.stride + c];
                Scalar& target = adj_x[m * adj_in.stride + c];
                target = keep ? target + adjoint : adjoint;
              }
            });
          });
        });
      });
}

template <class S> struct NormActivationStage {
  using Scalar = typename S::Scalar;

  plan::NormActivation op;

  NormActivationStage(plan::NormActivation host, DeviceTables<S>&)
      : op(std::move(host)) {}

  std::int32_t message_width(const DeviceTables<S>&) const { return 0; }

  void forward(const Context<S>& at) const {
    for (std::size_t k = 0; k < op.blocks.size(); ++k) {
      const auto b = static_cast<std::int32_t>(k);
      norm_activation<S>(at.space(),
                         at.n_centers(),
                         function(k),
                         at.value_blocks(op.in.value, b),
                         at.value_blocks(op.out, b));
    }
  }

  void adjoint(const Context<S>& at) const {
    for (std::size_t k = 0; k < op.blocks.size(); ++k) {
      const auto b = static_cast<std::int32_t>(k);
      norm_activation_adjoint<S>(at.space(),
                                 at.n_centers(),
                                 function(k),
                                 {at.value_blocks(op.in.value, b),
                                  at.adjoint_blocks(op.out, b),
                                  at.adjoint_blocks(op.in.value, b),
                                  op.in.adjoint});
    }
  }

private:
  NormFunction<Scalar> function(std::size_t k) const {
    return {op.function,
            static_cast<Scalar>(op.blocks[k].scale),
            static_cast<Scalar>(op.blocks[k].least)};
  }
};

} // namespace eqnn::kernels
