// SPDX-License-Identifier: BSD-3-Clause
#include "kernels/instantiate.hpp"

namespace eqnn::kernels {

std::unique_ptr<AnyEvaluator> make_double_evaluator(const plan::Plan& plan, Space space) {
  return instantiate<double, double>(plan, space);
}

std::unique_ptr<Probe> make_double_probe(const plan::Plan& plan, Space space) {
  return instantiate_probe<double, double>(plan, space);
}

} // namespace eqnn::kernels
