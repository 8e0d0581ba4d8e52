// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/weights.hpp"

namespace eqnn {

/// out[m3, c] += values weights[z, k, c] x[i_1, c] ... x[i_nu, c]
struct ContractionTerm {
  std::int32_t block = -1;                          ///< of the output
  std::int32_t nu = 0;                              ///< 1 to 3
  std::vector<std::array<std::int32_t, 5>> indices; ///< m3, k, i_1 .. i_nu
  Tensor values;                                    ///< [n]
  Tensor weights;                                   ///< [n_species, K, C]
};

struct SymmetricContractionStage {
  StageIndex features = -1;
  std::vector<ContractionTerm> terms;
};

} // namespace eqnn
