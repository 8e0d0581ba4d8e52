// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "base/edge_list.hpp"
#include "model/model_spec.hpp"
#include "reference/value.hpp"

namespace eqnn::reference {

Value species_embedding(const SpeciesEmbeddingStage& stage, const EdgeList& edges);

} // namespace eqnn::reference
