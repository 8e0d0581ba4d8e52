// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/weights.hpp"

namespace eqnn {

struct ZblStage {
  Tensor radius; ///< [n_species] Angstrom
  double p = 0.0, screening_length = 0.0, screening_exponent = 0.0;
  std::vector<double> coefficients, exponents;
};

} // namespace eqnn
