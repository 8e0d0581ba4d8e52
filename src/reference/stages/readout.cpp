// SPDX-License-Identifier: BSD-3-Clause
#include "reference/stages/readout.hpp"

#include "reference/mlp.hpp"
#include "reference/network.hpp"

namespace eqnn::reference {
namespace {

std::vector<double> scalar_row(const ReadoutStage& stage, const Value& x, std::int64_t node) {
  std::vector<double> row;
  row.reserve(static_cast<std::size_t>(stage.layers.front().weight.shape[1]));
  for (std::int32_t c = 0; c < stage.layers.front().weight.shape[1]; ++c) {
    row.push_back(x.at(node, 0, c));
  }
  return row;
}

} // namespace

Value readout(const ReadoutStage& stage, const Value& x) {
  Value y(x.rows, 1, 1);
  for (std::int64_t i = 0; i < x.rows; ++i) {
    y.at(i, 0, 0) = mlp(stage.layers, scalar_row(stage, x, i)).front();
  }
  return y;
}

void readout_adjoint(const ReadoutStage& stage,
                     const Value& x,
                     const Value& adj_out,
                     Value& adj_x) {
  for (std::int64_t i = 0; i < x.rows; ++i) {
    const auto adj_row = mlp_adjoint(stage.layers, scalar_row(stage, x, i), {adj_out.at(i, 0, 0)});
    for (std::size_t c = 0; c < adj_row.size(); ++c) {
      adj_x.at(i, 0, static_cast<std::int32_t>(c)) += adj_row[c];
    }
  }
}

Value forward(const ReadoutStage& op, Network& network) {
  return readout(op, network.value(op.features));
}

void adjoint(const ReadoutStage& op, Network& network) {
  readout_adjoint(op, network.value(op.features), network.adj_out(), network.adjoint(op.features));
}

} // namespace eqnn::reference
