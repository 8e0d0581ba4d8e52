// SPDX-License-Identifier: BSD-3-Clause
#include "kernels/instantiate.hpp"

namespace eqnn::kernels {

std::unique_ptr<AnyEvaluator> make_mixed_evaluator(plan::Plan plan, Space space) {
  return instantiate<float, double>(std::move(plan), space);
}

std::unique_ptr<Probe> make_mixed_probe(plan::Plan plan, Space space) {
  return instantiate_probe<float, double>(std::move(plan), space);
}

} // namespace eqnn::kernels
