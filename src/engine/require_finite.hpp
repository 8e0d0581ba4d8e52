// SPDX-License-Identifier: BSD-3-Clause
// The engine never returns a result that is not finite.
#pragma once

#include "base/edge_list.hpp"
#include "engine/fold_edges.hpp"
#include "eqnn/halo.hpp"

#include <string>

namespace eqnn::engine {

/// Throws Error for the first result that is not finite. halo provides the names of the atoms.
void require_finite(const EdgeList& edges, const Outputs& outputs, const HaloExchange& halo);

/// Describes the first result of these centers that is not finite. Atoms are counted from the first
/// of these centers. Returns an empty string if all results are finite.
std::string not_finite_in(const EdgeList& edges, const Outputs& outputs, Centers centers);

} // namespace eqnn::engine
