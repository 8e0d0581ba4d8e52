// SPDX-License-Identifier: BSD-3-Clause
// Tables of products of functions on the sphere and of symmetric contractions. docs/spec/gaunt.md
#pragma once

#include "model/model_spec.hpp"
#include "plan/plan.hpp"

#include <optional>
#include <variant>

namespace eqnn::plan {

/// The contraction as a polynomial: weights and coupling values multiplied out, monomials that
/// differ in the order of their factors merged.
Polynomial
contraction(const SymmetricContractionStage& stage, const Irreps& out, std::size_t n_species);

/// The projections of f, f^2, ... on the harmonics: as a polynomial of the components (sparse), or by
/// the function's values at points. Wiring is left to the caller. Without a lowering: the one that is
/// fastest by measured rates.
std::variant<Polynomial, SpherePower> sphere_polynomial(const SpherePolynomialStage& stage,
                                                        std::int32_t l_in,
                                                        std::int32_t l_out,
                                                        std::size_t n_species,
                                                        std::optional<Lowering> lowering);

/// Wiring and default as above. `table_rate`: see Options.
SphereProduct sphere_product(const GauntProductStage& stage,
                             std::int32_t l_a,
                             std::int32_t l_b,
                             std::int32_t l_out,
                             std::optional<Lowering> lowering,
                             double table_rate);

} // namespace eqnn::plan
