// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/weights.hpp"

namespace eqnn {

struct SphericalHarmonicsStage {
  std::int32_t l_max = 0;
};

} // namespace eqnn
