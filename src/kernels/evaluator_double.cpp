// SPDX-License-Identifier: BSD-3-Clause
#include "kernels/instantiate.hpp"

namespace eqnn::kernels {

std::unique_ptr<AnyEvaluator> make_double_evaluator(plan::Plan plan, Space space) {
  return instantiate<double, double>(std::move(plan), space);
}

std::unique_ptr<Probe> make_double_probe(plan::Plan plan, Space space) {
  return instantiate_probe<double, double>(std::move(plan), space);
}

} // namespace eqnn::kernels
