// SPDX-License-Identifier: BSD-3-Clause
// Tables of products of functions on the sphere and of symmetric contractions. docs/spec/gaunt.md
#pragma once

#include "model/model_spec.hpp"
#include "plan/plan.hpp"

#include <optional>

namespace eqnn::plan {

/// The contraction as a polynomial: weights and coupling values multiplied out, monomials that
/// differ in the order of their factors merged.
Polynomial
contraction(const SymmetricContractionStage& stage, const Irreps& out, std::size_t n_species);

/// The projections of f, f^2, ... on the harmonics as a polynomial.
Polynomial sphere_polynomial(const SpherePolynomialStage& stage,
                             std::int32_t l_in,
                             std::int32_t l_out,
                             std::size_t n_species);

/// The same by values at points.
SpherePower sphere_power(const SpherePolynomialStage& stage,
                         std::int32_t l_in,
                         std::int32_t l_out,
                         std::size_t n_species,
                         Lowering lowering);

/// What was measured to be fastest (docs/performance.md).
Lowering fastest_polynomial(std::int32_t l_in, std::int32_t l_out, std::int32_t n_orders);

/// Wiring is left to the caller. Without a lowering: the one that was measured to be fastest.
SphereProduct sphere_product(const GauntProductStage& stage,
                             std::int32_t l_a,
                             std::int32_t l_b,
                             std::int32_t l_out,
                             std::optional<Lowering> lowering);

} // namespace eqnn::plan
