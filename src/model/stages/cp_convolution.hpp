// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/weights.hpp"

namespace eqnn {

/// A factorized coupling: T[k][j][i] = sum_r out[k, r] harmonic[j, r] source[i, r].
struct CpConvolutionStage {
  StageIndex source = -1, harmonics = -1, radial = -1;
  Tensor source_factor, harmonic_factor, out_factor; ///< [components, rank]
};

} // namespace eqnn
