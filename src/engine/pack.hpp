// SPDX-License-Identifier: BSD-3-Clause
// Edges of structures as people write them, and why there are none.
#pragma once

#include "eqnn/batch.hpp"
#include "eqnn/edges.hpp"

namespace eqnn::engine {

/// The edges of one structure, or the reason why it has none.
struct EdgesOrFailure {
  EdgeList edges;
  Failure failure = Failure::None;
  std::string reason;
};

/// Whatever is wrong with a structure is a failure here, and none of the pass that it would be part
/// of.
EdgesOrFailure edges_or_failure(const Structure& structure, const Model& model);

/// What options.atoms_at_once of 0 means.
std::int32_t default_atoms_at_once(const Potential& potential);

} // namespace eqnn::engine
