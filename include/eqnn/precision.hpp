// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "eqnn/export.h"

#include <string_view>

namespace eqnn {

/// The precision of a model's arithmetic. Geometry, energies and virials are always in double.
enum class Precision {
  Double, ///< everything in double
  /// features and weights in float; norms, softmax, readout and edge gradients accumulated in
  /// double
  Mixed,
  Single ///< features, weights and accumulators in float
};

/// Accepts "double", "mixed" and "single". Throws Error for anything else.
EQNN_API Precision precision_from_name(std::string_view name);
/// Returns "double", "mixed" or "single".
EQNN_API std::string_view name_of(Precision precision);

} // namespace eqnn
