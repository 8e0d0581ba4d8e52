// SPDX-License-Identifier: BSD-3-Clause
// The oracle for tests: computes the energy of a model and dE/d(edge vector) in plain loops and
// double precision, directly from ModelSpec. Start reading here.
#pragma once

#include "base/edge_list.hpp"
#include "model/model_spec.hpp"
#include "reference/value.hpp"

#include <vector>

namespace eqnn::reference {

struct Result {
  Outputs outputs;
  std::vector<Value> values; ///< output of every stage of the graph, for tests
};

/// Throws Error for ghosts (periodic images are edges, not ghosts), and for edges that
/// require_sound_edges() rejects.
Result evaluate(const ModelSpec& model, const EdgeList& edges);

} // namespace eqnn::reference
