// SPDX-License-Identifier: BSD-3-Clause
// Cuts a model of many elements down to those in use: it keeps no weights or tables of others.
#pragma once

#include "model/model_spec.hpp"

#include <cstdint>
#include <vector>

namespace eqnn {

/// Returns the same network with only these elements, in the model's order. Elements may be named
/// in any order and more than once. All results are bit by bit those of the model. Only self-tests
/// without other elements are kept. Path, hash and number of parameters stay those of the file.
/// Throws Error for an element that the model does not know, and if no element is named.
ModelSpec cut_species(ModelSpec model, const std::vector<std::int32_t>& atomic_numbers);

} // namespace eqnn
