// SPDX-License-Identifier: BSD-3-Clause
// The compile options of a plan for the kernels of a given precision and device.
#pragma once

#include "eqnn/precision.hpp"
#include "kernels/any_evaluator.hpp"
#include "kernels/tuning.hpp"
#include "plan/compile.hpp"

namespace eqnn::kernels {

/// space: where the plan will run.
plan::Options plan_options(Precision precision, Space space);

} // namespace eqnn::kernels
