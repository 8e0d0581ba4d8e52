// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "eqnn/export.h"

#include <string_view>

namespace eqnn {

/// Geometry, energies and virials are double at every precision.
enum class Precision {
  Double, ///< everything in double
  /// features and weights in float; norms, softmax, readout and edge gradients accumulate in double
  Mixed,
  Single ///< features, weights and accumulators in float
};

/// "double", "mixed", "single"; throws Error for anything else.
EQNN_API Precision precision_from_name(std::string_view name);
/// "double", "mixed", "single"
EQNN_API std::string_view name_of(Precision precision);

} // namespace eqnn
