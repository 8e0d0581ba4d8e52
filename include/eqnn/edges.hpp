// SPDX-License-Identifier: BSD-3-Clause
// The directed edges of one step, which are the input of every evaluation.
#pragma once

#include "eqnn/export.h"

#include <cstdint>
#include <vector>

namespace eqnn {

/// Nodes are the owned atoms (0 .. n_centers-1), then the ghosts. The list holds all edges from
/// owned atoms to neighbors within the cutoff, and no others. If several periodic images of an atom
/// are neighbors, each has its own edge.
struct EdgeList {
  std::int32_t n_centers = 0;        ///< owned atoms
  std::int32_t n_nodes = 0;          ///< owned atoms and ghosts
  std::vector<std::int32_t> species; ///< [n_nodes] row in the model's species tables
  /// [n_centers + 1] the edges of center i are begin[i] .. begin[i+1]-1; may be empty if there are
  /// no centers
  std::vector<std::int64_t> begin;
  std::vector<std::int32_t> source; ///< [n_edges] node index of the neighbor
  std::vector<double> vector;       ///< [n_edges, 3] x_source - x_center, Angstrom
  /// [n_structures + 1] if several structures are packed one after another, without edges between
  /// them. The centers of structure s are structures[s] .. structures[s+1]-1. Empty for a single
  /// structure. append_structure() fills it for Potential::evaluate_each().
  std::vector<std::int32_t> structures;

  /// The total number of edges.
  std::int64_t n_edges() const { return static_cast<std::int64_t>(source.size()); }
};

/// Angstrom. Shorter edges are rejected. Their direction is not well defined, and no model was
/// trained on such a pair.
inline constexpr double kShortestEdge = 1e-6;

/// Throws Error if sizes or indices are inconsistent, and for the first edge that is shorter than
/// kShortestEdge or not finite. Potential::evaluate() also rejects species that the model's tables
/// do not have, and edges beyond its cutoff.
EQNN_API void require_sound_edges(const EdgeList& edges);

/// Removes all structures, but keeps the memory allocated.
EQNN_API void clear_structures(EdgeList& edges);

/// Appends a structure. Throws Error if `one` has ghosts or several structures, if `to` has atoms
/// that belong to no structure, or if the atoms exceed the range of an int32.
EQNN_API void append_structure(EdgeList& to, const EdgeList& one);

} // namespace eqnn
