// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/model_spec.hpp"
#include "plan/sphere_transform.hpp"
#include "plan/values.hpp"

namespace eqnn::plan {

/// out[lm] = sum over nu of weight_nu[z, l] (projection of f^nu on S_lm). Powers are computed from
/// values at points.
struct SpherePower {
  ValueId out = kNoValue;
  Input in;
  SphereMethod method = SphereMethod::Grid;
  SphereTransform of_in, of_out;
  std::int32_t n_orders = 0;
  std::vector<double> weights; ///< [n_species, n_orders, l_max + 1, channels]

  ValueId output() const { return out; }

  std::vector<Input*> inputs() { return {&in}; }

  std::vector<ValueId> saved_for_adjoint() const { return {in.value}; }

  std::vector<ValueId> read_on_ghosts() const { return {}; }

  Input* residual() { return nullptr; }

  void make(ValueId value) { out = value; }

  std::string describe(const ValueNames& names) const;
};

/// Makes the stage by a method, Grid or Fourier. The caller sets input and output.
SpherePower sphere_power(const SpherePolynomialStage& stage,
                         std::int32_t l_in,
                         std::int32_t l_out,
                         std::size_t n_species,
                         SphereMethod method);

/// See cost(const Polynomial&).
double cost(const SpherePower& power);

} // namespace eqnn::plan
