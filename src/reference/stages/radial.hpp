// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "base/edge_list.hpp"
#include "model/model_spec.hpp"
#include "reference/value.hpp"

namespace eqnn::reference {

/// Value [C] and derivative by r [C] of a radial function at distance r (Angstrom).
struct RadialSample {
  std::vector<double> value, derivative;
};

RadialSample radial(const RadialStage& stage, double cutoff, double r);

} // namespace eqnn::reference
