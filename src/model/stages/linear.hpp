// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/weights.hpp"

namespace eqnn {

/// Maps block `in` of the input to block `out` of the output.
struct BlockWeight {
  std::int32_t in = -1, out = -1;
  Tensor weight; ///< [C_out, C_in] or [n_species, C_out, C_in]
};

struct LinearStage {
  static constexpr std::array kOtherNames{"irreps_linear", "species_linear"};

  StageIndex features = -1;
  bool per_species = false;
  std::vector<BlockWeight> blocks; ///< one for each block of the output
  std::optional<Tensor> bias;      ///< [C_out] for block 0e
};

} // namespace eqnn
