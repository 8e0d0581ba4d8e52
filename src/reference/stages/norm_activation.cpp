// SPDX-License-Identifier: BSD-3-Clause
#include "reference/features.hpp"
#include "reference/network.hpp"
#include "reference/scalar_functions.hpp"

#include <cmath>

namespace eqnn::reference {
namespace {

/// What a channel of degree l and norm n is multiplied by, and its derivative by n.
ValueAndSlope factor(const NormActivationStage& op, std::int32_t l, double n) {
  if (op.limit) {
    const double scale = 1.0 / (*op.limit * std::sqrt(2.0 * l + 1.0));
    const double u = n * scale;
    if (u == 0.0) {
      return {1.0, 0.0}; // exp(-1/u) and all its derivatives vanish
    }
    const double step = std::exp(-1.0 / u);
    const double value = 1.0 / (1.0 + u * step);
    return {value, -value * value * step * (1.0 + 1.0 / u) * scale};
  }
  if (n < op.eps) {
    return {activate(op.function, op.eps) / op.eps, 0.0};
  }
  const double value = activate(op.function, n) / n;
  return {value, (activation_derivative(op.function, n) - value) / n};
}

/// Calls use(degree, first component, channel) for all channels of a node.
template <class Use> void for_channels(const Irreps& irreps, const Use& use) {
  for (std::size_t b = 0; b < irreps.size(); ++b) {
    const std::int32_t first = first_component(irreps, static_cast<std::int32_t>(b));
    for (std::int32_t c = 0; c < irreps[b].channels; ++c) {
      use(irreps[b].l, first, c);
    }
  }
}

/// Sum of products over the components of a channel.
double
dot(const Value& a, const Value& b, std::int64_t node, std::int32_t l, std::int32_t k, int c) {
  double sum = 0.0;
  for (std::int32_t m = 0; m < 2 * l + 1; ++m) {
    sum += a.at(node, k + m, c) * b.at(node, k + m, c);
  }
  return sum;
}

} // namespace

Value forward(const NormActivationStage& op, Network& network) {
  const Value& x = network.value(op.features);
  Value y = features(x.rows, network.out_irreps());
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for_channels(network.out_irreps(), [&](std::int32_t l, std::int32_t k, std::int32_t c) {
      const double f = factor(op, l, std::sqrt(dot(x, x, i, l, k, c))).value;
      for (std::int32_t m = 0; m < 2 * l + 1; ++m) {
        y.at(i, k + m, c) = f * x.at(i, k + m, c);
      }
    });
  }
  return y;
}

void adjoint(const NormActivationStage& op, Network& network) {
  const Value& x = network.value(op.features);
  const Value& adj_y = network.adj_out();
  Value& adj_x = network.adjoint(op.features);
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for_channels(network.out_irreps(), [&](std::int32_t l, std::int32_t k, std::int32_t c) {
      const double n = std::sqrt(dot(x, x, i, l, k, c));
      const ValueAndSlope f = factor(op, l, n);
      const double along = dot(x, adj_y, i, l, k, c);
      for (std::int32_t m = 0; m < 2 * l + 1; ++m) {
        adj_x.at(i, k + m, c) += f.value * adj_y.at(i, k + m, c);
        if (n > 0.0) { // dn/dx = x/n
          adj_x.at(i, k + m, c) += f.slope * along * x.at(i, k + m, c) / n;
        }
      }
    });
  }
}

} // namespace eqnn::reference
