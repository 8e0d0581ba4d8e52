// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "base/edge_list.hpp"
#include "model/model_spec.hpp"
#include "reference/value.hpp"

namespace eqnn::reference {

/// Value [C] and derivative [C] with respect to r of a radial function at distance r (Angstrom).
struct RadialSample {
  std::vector<double> value, derivative;
};

/// center, source: rows of both species; used only if the function depends on them.
RadialSample radial(const RadialStage& stage,
                    double cutoff,
                    double r,
                    std::int32_t center = 0,
                    std::int32_t source = 0);

} // namespace eqnn::reference
