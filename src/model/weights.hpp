// SPDX-License-Identifier: BSD-3-Clause
// Parts of the stages of a model file.
#pragma once

#include "base/irreps.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace eqnn {

/// A weight tensor, row-major, always in double precision.
struct Tensor {
  std::vector<std::int64_t> shape;
  std::vector<double> values;

  std::int64_t size() const { return static_cast<std::int64_t>(values.size()); }
};

/// TanhSquare: tanh(x^2); Gelu: x (1 + erf(x/sqrt 2))/2; Mish: x tanh(log(1 + e^x));
/// ShiftedSoftplus: log(1 + e^x) - log 2
enum class Activation { None, Silu, Tanh, Sigmoid, Abs, Gelu, Mish, ShiftedSoftplus, TanhSquare };

struct LayerNorm {
  Tensor scale; ///< [out]
  Tensor shift; ///< [out]
  double eps = 0.0;
};

/// y = activation(layer_norm(W x + b))
struct MlpLayer {
  Tensor weight;              ///< [out, in]
  std::optional<Tensor> bias; ///< [out]
  std::optional<LayerNorm> layer_norm;
  Activation activation = Activation::None;
};

/// Index of a stage in ModelSpec::graph whose output is used.
using StageIndex = std::int32_t;

/// Source block x harmonics of degree l -> output block. It has the first channels of the source
/// block.
struct TensorProductPath {
  std::int32_t source = -1; ///< block
  std::int32_t l = 0;
  std::int32_t out = -1; ///< block
  std::int32_t channels = 0;
  std::int32_t radial = 0;  ///< first channel of the weights
  std::int32_t channel = 0; ///< first channel in the output's block
};

} // namespace eqnn
