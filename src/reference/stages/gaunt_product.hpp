// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "base/edge_list.hpp"
#include "model/model_spec.hpp"
#include "reference/value.hpp"

namespace eqnn::reference {

/// The projection of f_a f_b, and of u . (grad f_a x grad f_b), on harmonics of degrees up to
/// l_max.
Value gaunt_product(const GauntProductStage& stage,
                    std::int32_t l_max,
                    const Value& a,
                    const Value& b);

/// Factors a and b, or their adjoints.
template <class V> struct Factors {
  V &a, &b;
};

void gaunt_product_adjoint(const GauntProductStage& stage,
                           std::int32_t l_max,
                           const Factors<const Value>& factors,
                           const Value& adj_out,
                           const Factors<Value>& adjoints);

} // namespace eqnn::reference
