// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/model_spec.hpp"
#include "plan/stages/polynomial.hpp"

namespace eqnn::plan {

/// The contraction as a polynomial. Weights and coupling values are multiplied out, and monomials
/// that differ only in the order of factors are merged.
Polynomial
contraction(const SymmetricContractionStage& stage, const Irreps& out, std::size_t n_species);

} // namespace eqnn::plan
