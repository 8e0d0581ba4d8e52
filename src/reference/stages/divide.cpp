// SPDX-License-Identifier: BSD-3-Clause
#include "reference/features.hpp"
#include "reference/network.hpp"

namespace eqnn::reference {

Value forward(const DivideStage& op, Network& network) {
  const Value& x = network.value(op.features);
  const Value& divisor = network.value(op.divisor);
  Value y = features(x.rows, network.out_irreps());
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for (std::int32_t k = 0; k < y.components; ++k) {
      for (std::int32_t c = 0; c < y.channels; ++c) {
        y.at(i, k, c) = x.at(i, k, c) / divisor.at(i, 0, 0);
      }
    }
  }
  return y;
}

void adjoint(const DivideStage& op, Network& network) {
  const Value& x = network.value(op.features);
  const Value& divisor = network.value(op.divisor);
  const Value& adj_y = network.adj_out();
  for (std::int64_t i = 0; i < x.rows; ++i) {
    const double d = divisor.at(i, 0, 0);
    for (std::int32_t k = 0; k < x.components; ++k) {
      for (std::int32_t c = 0; c < x.channels; ++c) {
        network.adjoint(op.features).at(i, k, c) += adj_y.at(i, k, c) / d;
        network.adjoint(op.divisor).at(i, 0, 0) -= adj_y.at(i, k, c) * x.at(i, k, c) / (d * d);
      }
    }
  }
}

} // namespace eqnn::reference
