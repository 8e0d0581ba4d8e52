// SPDX-License-Identifier: BSD-3-Clause
#include "reference/stages/edge_matrix.hpp"

#include "reference/network.hpp"

namespace eqnn::reference {

Value edge_matrix(const EdgeMatrixStage& stage, const Value& harmonics) {
  const std::int32_t d = harmonics.components;
  Value matrix(harmonics.rows, d, d);
  for (std::int64_t e = 0; e < harmonics.rows; ++e) {
    for (std::int32_t k = 0; k < d; ++k) {
      for (std::int32_t j = 0; j < d; ++j) {
        for (std::int32_t i = 0; i < d; ++i) {
          matrix.at(e, k, i) +=
              stage.coupling.values[static_cast<std::size_t>((k * d + j) * d + i)] *
              harmonics.at(e, j, 0);
        }
      }
    }
  }
  return matrix;
}

void edge_matrix_adjoint(const EdgeMatrixStage& stage,
                         const Value& adj_matrix,
                         Value& adj_harmonics) {
  const std::int32_t d = adj_matrix.components;
  for (std::int64_t e = 0; e < adj_matrix.rows; ++e) {
    for (std::int32_t k = 0; k < d; ++k) {
      for (std::int32_t j = 0; j < d; ++j) {
        for (std::int32_t i = 0; i < d; ++i) {
          adj_harmonics.at(e, j, 0) +=
              stage.coupling.values[static_cast<std::size_t>((k * d + j) * d + i)] *
              adj_matrix.at(e, k, i);
        }
      }
    }
  }
}

Value forward(const EdgeMatrixStage& op, Network& network) {
  return edge_matrix(op, network.value(op.harmonics));
}

void adjoint(const EdgeMatrixStage& op, Network& network) {
  edge_matrix_adjoint(op, network.adj_out(), network.adjoint(op.harmonics));
}

} // namespace eqnn::reference
