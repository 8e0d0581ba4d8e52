// SPDX-License-Identifier: BSD-3-Clause
// Edges of structures as people write them, and why there are none.
#pragma once

#include "eqnn/batch.hpp"
#include "eqnn/edges.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

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

/// The result of a structure that has none.
StructureResult failed(Failure failure, std::string reason);

/// Structures that wait for a pass.
class Pass {
public:
  /// Is given what each structure got; `tag` is what add() was given.
  using Take = std::function<void(std::size_t tag, StructureResult result)>;

  Pass(Potential& potential, Wanted wanted, Take take);

  std::int32_t n_atoms() const { return packed_.n_centers; }

  void add(std::size_t tag, const EdgeList& edges);

  /// Evaluates what waits, in its order.
  void run();

private:
  void run_one_by_one(const std::string& failure);
  void hand_out(const PackedObservables& found) const;

  Potential& potential_;
  Wanted wanted_;
  Take take_;
  EdgeList packed_;
  std::vector<std::size_t> tags_;
};

/// What options.atoms_at_once of 0 means.
std::int32_t default_atoms_at_once(const Potential& potential);

} // namespace eqnn::engine
