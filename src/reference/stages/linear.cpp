// SPDX-License-Identifier: BSD-3-Clause
#include "reference/stages/linear.hpp"

#include "reference/edges.hpp"
#include "reference/network.hpp"

namespace eqnn::reference {

Value linear(const LinearStage& stage, const Value& x) {
  const auto n_out = static_cast<std::int32_t>(stage.weight.shape[0]);
  Value y(x.rows, (stage.l_max + 1) * (stage.l_max + 1), n_out);
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for (std::int32_t lm = 0; lm < y.components; ++lm) {
      for (std::int32_t o = 0; o < n_out; ++o) {
        double sum = (lm == 0 && stage.bias) ? bias_at(*stage.bias, o) : 0.0;
        for (std::int32_t c = 0; c < x.channels; ++c) {
          sum += weight_at(stage.weight, o, c) * x.at(i, lm, c);
        }
        y.at(i, lm, o) = sum;
      }
    }
  }
  return y;
}

void linear_adjoint(const LinearStage& stage, const Value& adj_out, Value& adj_x) {
  for (std::int64_t i = 0; i < adj_out.rows; ++i) {
    for (std::int32_t lm = 0; lm < adj_out.components; ++lm) {
      for (std::int32_t o = 0; o < adj_out.channels; ++o) {
        for (std::int32_t c = 0; c < adj_x.channels; ++c) {
          adj_x.at(i, lm, c) += weight_at(stage.weight, o, c) * adj_out.at(i, lm, o);
        }
      }
    }
  }
}

Value forward(const LinearStage& op, Network& network) {
  return linear(op, network.value(op.features));
}

void adjoint(const LinearStage& op, Network& network) {
  linear_adjoint(op, network.adj_out(), network.adjoint(op.features));
}

} // namespace eqnn::reference
