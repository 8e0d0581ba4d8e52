// SPDX-License-Identifier: BSD-3-Clause
// No result that is no number leaves the engine.
#pragma once

#include "base/edge_list.hpp"
#include "engine/fold_edges.hpp"
#include "eqnn/halo.hpp"

#include <string>

namespace eqnn::engine {

/// Throws Error for the first result that is not finite; halo has the atoms' names.
void require_finite(const EdgeList& edges, const Outputs& outputs, const HaloExchange& halo);

/// What is the first of some centers' results that is not finite, with atoms counted from the first
/// of these; empty where there is none.
std::string not_finite_in(const EdgeList& edges, const Outputs& outputs, Centers centers);

} // namespace eqnn::engine
