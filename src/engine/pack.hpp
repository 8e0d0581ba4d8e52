// SPDX-License-Identifier: BSD-3-Clause
// Builds the edges of user-supplied structures, and evaluates many structures in one pass.
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

/// An error in a structure becomes its Failure. It does not affect the other structures of the
/// pass.
EdgesOrFailure edges_or_failure(const Structure& structure, const Model& model);

/// The result of a structure without edges.
StructureResult failed(Failure failure, std::string reason);

/// Structures waiting to be evaluated together in one pass.
class Pass {
public:
  /// Receives the result of each structure; `tag` is the argument of add().
  using Take = std::function<void(std::size_t tag, StructureResult result)>;

  Pass(Potential& potential, Wanted wanted, Take take);

  std::int32_t n_atoms() const { return packed_.n_centers; }

  void add(std::size_t tag, const EdgeList& edges);

  /// Evaluates the waiting structures and hands out the results in the order of add().
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

/// The number of atoms in a pass if options.atoms_at_once is 0.
std::int32_t default_atoms_at_once(const Potential& potential);

} // namespace eqnn::engine
