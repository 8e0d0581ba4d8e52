// SPDX-License-Identifier: BSD-3-Clause
// The directed edges of one step: what every evaluation takes as its input.
#pragma once

#include "eqnn/export.h"

#include <cstdint>
#include <vector>

namespace eqnn {

/// Nodes are the owned atoms (0 .. n_centers-1), then the ghosts. Every edge of an owned center
/// within the cutoff is listed, no other. Several periodic images of one neighbor are several
/// edges.
struct EdgeList {
  std::int32_t n_centers = 0;        ///< owned atoms
  std::int32_t n_nodes = 0;          ///< owned atoms and ghosts
  std::vector<std::int32_t> species; ///< [n_nodes] row of the model's species tables
  /// [n_centers + 1] the edges of center i are begin[i] .. begin[i+1]-1; empty where there is none
  std::vector<std::int64_t> begin;
  std::vector<std::int32_t> source; ///< [n_edges] node index of the neighbor
  std::vector<double> vector;       ///< [n_edges, 3] x_source - x_center, Angstrom
  /// [n_structures + 1] of several structures, packed one after another, of which none has an edge
  /// to another: the centers of structure s are structures[s] .. structures[s+1]-1. Empty: all are
  /// one. For Potential::evaluate_each(), made by append_structure().
  std::vector<std::int32_t> structures;

  /// Edges of all centers.
  std::int64_t n_edges() const { return static_cast<std::int64_t>(source.size()); }
};

/// Shorter edges are refused: a direction is not defined there, and no model has seen such a pair.
/// Angstrom.
inline constexpr double kShortestEdge = 1e-6;

/// Throws Error where sizes or indices do not fit together, and at the first edge that is shorter
/// or whose vector is not finite. Potential::evaluate() refuses all of these, and also rows that
/// the model's tables do not have and edges beyond its cutoff.
EQNN_API void require_sound_edges(const EdgeList& edges);

/// No structures, in the memory that is there.
EQNN_API void clear_structures(EdgeList& edges);

/// Packs a structure behind those that are there. Throws Error for one with ghosts, for several,
/// and where `to` has edges that name no structures.
EQNN_API void append_structure(EdgeList& to, const EdgeList& one);

} // namespace eqnn
