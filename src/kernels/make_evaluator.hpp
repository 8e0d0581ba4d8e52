// SPDX-License-Identifier: BSD-3-Clause
// One translation unit per precision, so that they compile in parallel.
#pragma once

#include "kernels/any_evaluator.hpp"

namespace eqnn::kernels {

std::unique_ptr<AnyEvaluator> make_double_evaluator(plan::Plan plan, Space space);
std::unique_ptr<AnyEvaluator> make_mixed_evaluator(plan::Plan plan, Space space);
std::unique_ptr<AnyEvaluator> make_single_evaluator(plan::Plan plan, Space space);
std::unique_ptr<Probe> make_double_probe(plan::Plan plan, Space space);
std::unique_ptr<Probe> make_mixed_probe(plan::Plan plan, Space space);
std::unique_ptr<Probe> make_single_probe(plan::Plan plan, Space space);

} // namespace eqnn::kernels
