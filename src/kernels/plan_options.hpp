// SPDX-License-Identifier: BSD-3-Clause
// How a plan must be compiled for the kernels of a precision and a device.
#pragma once

#include "eqnn/precision.hpp"
#include "kernels/any_evaluator.hpp"
#include "kernels/tuning.hpp"
#include "plan/compile.hpp"

namespace eqnn::kernels {

/// space: where the plan will run.
plan::Options plan_options(Precision precision, Space space);

} // namespace eqnn::kernels
