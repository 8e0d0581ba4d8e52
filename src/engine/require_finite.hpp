// SPDX-License-Identifier: BSD-3-Clause
// No result that is no number leaves the engine.
#pragma once

#include "base/edge_list.hpp"
#include "eqnn/halo.hpp"

namespace eqnn::engine {

/// Throws Error for the first result that is not finite; halo has the atoms' names.
void require_finite(const EdgeList& edges, const Outputs& outputs, const HaloExchange& halo);

} // namespace eqnn::engine
