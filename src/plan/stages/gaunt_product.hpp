// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/model_spec.hpp"
#include "plan/sphere_transform.hpp"
#include "plan/values.hpp"

#include <optional>

namespace eqnn::plan {

/// One nonzero entry of the table of a bilinear product: out[k] += value a[i] b[j].
struct Triple {
  std::int32_t i = 0, j = 0, k = 0;
  double value = 0.0;
};

/// Product of two values by a bilinear map that is diagonal in channels. Scales: [l_max + 1,
/// channels] or empty.
struct GauntProduct {
  ValueId out = kNoValue;
  Input a, b;
  SphereMethod method = SphereMethod::Sparse;
  std::vector<double> scale_a, scale_b, scale_out, scale_curl;
  std::vector<Triple> gaunt, curl; ///< sparse
  /// Not sparse: transforms to the values of both factors, and the projection of the product.
  SphereTransform of_a, of_b, of_out;
  /// Not sparse: transforms to the slopes along two tangents, for the curl.
  SphereTransform gradient_a[2], gradient_b[2];

  ValueId output() const { return out; }

  std::vector<Input*> inputs() { return {&a, &b}; }

  std::vector<ValueId> saved_for_adjoint() const { return {a.value, b.value}; }

  std::vector<ValueId> read_on_ghosts() const { return {}; }

  Input* residual() { return nullptr; }

  void make(ValueId value) { out = value; }

  std::string describe(const ValueNames& names) const;
};

/// Degrees of both factors and of the product.
struct ProductDegrees {
  std::int32_t a = 0, b = 0, out = 0;
};

/// Makes the product by a method; without a method, by the fastest one according to measured rates.
/// `table_rate`: see Options. The caller sets inputs and output.
GauntProduct gaunt_product(const GauntProductStage& stage,
                           const ProductDegrees& degrees,
                           std::optional<SphereMethod> method,
                           double table_rate);

} // namespace eqnn::plan
