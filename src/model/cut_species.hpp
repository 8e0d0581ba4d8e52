// SPDX-License-Identifier: BSD-3-Clause
// Cuts a model of many elements down to those in use. Weights and tables of other elements are
// dropped.
#pragma once

#include "model/model_spec.hpp"

#include <cstdint>
#include <vector>

namespace eqnn {

/// Returns the same network with only these elements, in the model's order. Elements may be given
/// in any order and more than once. All results are bit for bit the same. Self-tests with other
/// elements are dropped. Path, hash and number of parameters remain those of the file. Throws Error
/// for an element that the model does not know, and if no element is given.
ModelSpec cut_species(ModelSpec model, const std::vector<std::int32_t>& atomic_numbers);

} // namespace eqnn
