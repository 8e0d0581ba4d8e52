// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "base/edge_list.hpp"
#include "model/model_spec.hpp"
#include "reference/value.hpp"

namespace eqnn::reference {

Value rms_norm(const RmsNormStage& stage, const Irreps& irreps, const Value& x);
void rms_norm_adjoint(const RmsNormStage& stage,
                      const Irreps& irreps,
                      const Value& x,
                      const Value& adj_out,
                      Value& adj_x);

} // namespace eqnn::reference
