// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "base/edge_list.hpp"
#include "model/model_spec.hpp"
#include "reference/value.hpp"

namespace eqnn::reference {

/// M[k,i] = sum_j T[k][j][i] Y_j
Value edge_matrix(const EdgeMatrixStage& stage, const Value& harmonics);
void edge_matrix_adjoint(const EdgeMatrixStage& stage,
                         const Value& adj_matrix,
                         Value& adj_harmonics);

} // namespace eqnn::reference
