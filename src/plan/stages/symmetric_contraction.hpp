// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/model_spec.hpp"
#include "plan/stages/polynomial.hpp"

namespace eqnn::plan {

/// The contraction as a polynomial: weights and coupling values multiplied out, monomials that
/// differ in the order of their factors merged.
Polynomial
contraction(const SymmetricContractionStage& stage, const Irreps& out, std::size_t n_species);

} // namespace eqnn::plan
