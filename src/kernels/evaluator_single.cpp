// SPDX-License-Identifier: BSD-3-Clause
#include "kernels/instantiate.hpp"

namespace eqnn::kernels {

std::unique_ptr<AnyEvaluator> make_single_evaluator(plan::Plan plan, Space space) {
  return instantiate<float, float>(std::move(plan), space);
}

std::unique_ptr<Probe> make_single_probe(plan::Plan plan, Space space) {
  return instantiate_probe<float, float>(std::move(plan), space);
}

} // namespace eqnn::kernels
