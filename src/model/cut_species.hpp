// SPDX-License-Identifier: BSD-3-Clause
// A model of many elements, cut to those in use: weights, and all that is made of them, of no others.
#pragma once

#include "model/model_spec.hpp"

#include <cstdint>
#include <vector>

namespace eqnn {

/// The same network of these elements only, in the model's order, whatever theirs is; one may be named
/// more than once. Every number that it gives is the one that the model gives, bit by bit. Of
/// self-tests those are kept that have no other element. Where the file is, its hash and the number of
/// its parameters stay those of the file. Throws Error for an element that the model does not know, and
/// where none is named.
ModelSpec cut_species(ModelSpec model, const std::vector<std::int32_t>& atomic_numbers);

} // namespace eqnn
