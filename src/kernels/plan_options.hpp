// SPDX-License-Identifier: BSD-3-Clause
// How a plan must be compiled for the kernels of a precision.
#pragma once

#include "eqnn/precision.hpp"
#include "kernels/tuning.hpp"
#include "plan/compile.hpp"

namespace eqnn::kernels {

plan::Options plan_options(Precision precision);

} // namespace eqnn::kernels
