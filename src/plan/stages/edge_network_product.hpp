// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "plan/stages/edge_product.hpp"

namespace eqnn::plan {

/// z -> function(W z + b)
struct NetworkLayer {
  std::int32_t n_in = 0, n_out = 0;
  std::vector<double> weight; ///< [n_in, n_out]
  std::vector<double> bias;   ///< [n_out], zeros if the model has none
  std::int32_t function = 0;  ///< kIdentity ...
};

/// docs/spec/stages/edge_network_product.md
struct EdgeNetworkProduct : Couplings {
  ValueId out = kNoValue;
  Input source, center;
  std::int32_t radial = -1;
  std::int32_t scalars = 0;      ///< H: channels of the center
  std::int32_t first_scalar = 0; ///< the first of the source's channels that are added to them
  std::int32_t function = 0;     ///< of the sum: kIdentity ...
  std::vector<NetworkLayer> layers;
  /// exponent of the polynomial envelope; 0: no envelope
  double envelope = 0.0, cutoff = 0.0;

  ValueId output() const { return out; }

  std::vector<Input*> inputs() { return {&source, &center}; }

  std::vector<ValueId> saved_for_adjoint() const { return {source.value, center.value}; }

  std::vector<ValueId> read_on_ghosts() const { return {source.value}; }

  Input* residual() { return nullptr; }

  void make(ValueId value) { out = value; }

  std::string describe(const ValueNames& names) const;
};

} // namespace eqnn::plan
