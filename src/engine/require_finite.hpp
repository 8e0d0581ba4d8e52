// SPDX-License-Identifier: BSD-3-Clause
// The engine never returns a result that is not finite.
#pragma once

#include "base/edge_list.hpp"
#include "engine/fold_edges.hpp"
#include "eqnn/halo.hpp"

#include <string>

namespace eqnn::engine {

/// Throws Error for the first result that is not finite; halo has the atoms' names.
void require_finite(const EdgeList& edges, const Outputs& outputs, const HaloExchange& halo);

/// Describes the first result of these centers that is not finite, with atoms counted from the
/// first of them. Empty if there is none.
std::string not_finite_in(const EdgeList& edges, const Outputs& outputs, Centers centers);

} // namespace eqnn::engine
