// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/model_spec.hpp"
#include "plan/stages/polynomial.hpp"
#include "plan/stages/sphere_power.hpp"

#include <optional>
#include <variant>

namespace eqnn::plan {

/// The projections of f, f^2, ... on the harmonics: as a polynomial of the components (sparse), or
/// by the values of f at points. Without a method, uses the fastest one according to measured
/// rates. The caller sets input and output.
std::variant<Polynomial, SpherePower> sphere_polynomial(const SpherePolynomialStage& stage,
                                                        std::int32_t l_in,
                                                        std::int32_t l_out,
                                                        std::size_t n_species,
                                                        std::optional<SphereMethod> method);

} // namespace eqnn::plan
