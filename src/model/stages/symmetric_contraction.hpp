// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/weights.hpp"

namespace eqnn {

/// A limit of the engine: the largest number of factors in a product.
inline constexpr std::int32_t kMostFactors = 4;

/// out[m3, c] += values weights[z, k, c] x[i_1, c] ... x[i_nu, c]
struct ContractionTerm {
  using Row = std::array<std::int32_t, 2 + kMostFactors>;

  std::int32_t block = -1;  ///< output block
  std::int32_t nu = 0;      ///< 1 to kMostFactors
  std::vector<Row> indices; ///< m3, k, i_1 .. i_nu
  Tensor values;            ///< [n]
  Tensor weights;           ///< [n_species, K, C]
};

struct SymmetricContractionStage {
  StageIndex features = -1;
  std::vector<ContractionTerm> terms;
};

} // namespace eqnn
