// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/weights.hpp"

namespace eqnn {

struct SpherePolynomialStage {
  StageIndex features = -1;
  std::vector<Tensor> orders; ///< nu = 1, 2, ...: [n_species, C, l_max + 1]
};

} // namespace eqnn
