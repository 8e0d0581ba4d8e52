// SPDX-License-Identifier: BSD-3-Clause
#include "plan/stages/edge_attention.hpp"

#include "plan/matrix.hpp"
#include "plan/plan_builder.hpp"

namespace eqnn::plan {

namespace {

/// [columns, rows] of a weight [rows, columns].
std::vector<double> transposed_values(const Tensor& weight) {
  return transposed(weight.values, weight.shape[0], weight.shape[1]);
}

} // namespace

std::string EdgeAttention::describe(const ValueNames& names) const {
  return names.out(out) + "edge attention of source " + names.in(source) + ", center " +
         names.in(center) + ", matrix " + std::to_string(matrix) + ", radial " +
         std::to_string(radial) + ", " + std::to_string(heads) + " heads" +
         (envelope > 0 ? ", envelope of order " + std::to_string(envelope) : "");
}

void lower(const EdgeAttentionStage& op, PlanBuilder& build) {
  EdgeAttention attention;
  attention.source = build.compact(op.source);
  attention.center = build.compact(op.center);
  attention.out = build.output();
  attention.matrix = build.index(op.matrix);
  attention.radial = build.index(op.radial);
  attention.heads = op.heads;
  attention.negative_slope = op.negative_slope;
  attention.eps = op.eps;
  attention.cutoff = build.model().cutoff;
  attention.envelope = op.envelope;
  attention.logit_weight = transposed_values(op.logit_weight);
  attention.value_weight = transposed_values(op.value_weight);
  attention.gate_weight = transposed_values(op.gate_weight);
  attention.logit_bias = op.logit_bias.values;
  attention.value_bias = op.value_bias.values;
  attention.gate_bias = op.gate_bias.values;
  attention.logit_vector = op.logit_vector.values;
  build.add(std::move(attention));
}

} // namespace eqnn::plan
