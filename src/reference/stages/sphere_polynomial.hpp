// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "base/edge_list.hpp"
#include "model/model_spec.hpp"
#include "reference/value.hpp"

namespace eqnn::reference {

/// l_max: highest degree of the output.
Value sphere_polynomial(const SpherePolynomialStage& stage,
                        const EdgeList& edges,
                        std::int32_t l_max,
                        const Value& x);
void sphere_polynomial_adjoint(const SpherePolynomialStage& stage,
                               const EdgeList& edges,
                               std::int32_t l_max,
                               const Value& x,
                               const Value& adj_out,
                               Value& adj_x);

} // namespace eqnn::reference
