// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/weights.hpp"

namespace eqnn {

struct SpeciesEmbeddingStage {
  std::int32_t l_max = 0;
  Tensor table; ///< [n_species, C]
};

} // namespace eqnn
