// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "eqnn/export.h"

#include <string_view>

namespace eqnn {

/// Where a model runs.
enum class Device {
  Auto, ///< a GPU if this build has kernels for one, otherwise the CPU
  Cpu,
  Gpu
};

/// Accepts "auto", "cpu" and "gpu". Throws Error for anything else.
EQNN_API Device device_from_name(std::string_view name);

} // namespace eqnn
