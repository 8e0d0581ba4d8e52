// SPDX-License-Identifier: BSD-3-Clause
// Tables of the Gaunt convolution in the frame of each edge. docs/spec/gaunt.md
#pragma once

#include "plan/plan.hpp"

namespace eqnn::plan {

/// Wiring is left to the caller. @pre degrees are at most kMostZonalDegree
ZonalProduct zonal_product(std::int32_t l_source, std::int32_t l_filter, std::int32_t l_out);

/// Multiply-adds of one channel of an edge.
struct ZonalCost {
  double forward = 0.0, adjoint = 0.0;
};

ZonalCost multiply_adds(const ZonalProduct& product);

/// Time of forward and adjoint, in multiply-adds of one channel at the machine's peak, by measured
/// rates (docs/performance.md).
double cost(const ZonalProduct& product);
double cost(const EdgeProduct& product);

} // namespace eqnn::plan
