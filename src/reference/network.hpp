// SPDX-License-Identifier: BSD-3-Clause
// A network during an evaluation: the values that forward() and adjoint() of each stage read and
// write. adjoint() reads dE/d(output) from adj_out(), and *adds* to dE/d(each input).
#pragma once

#include "base/edge_list.hpp"
#include "base/stages.hpp"
#include "model/model_spec.hpp"
#include "reference/evaluate.hpp"
#include "reference/value.hpp"

#include <array>

namespace eqnn::reference {

class Network {
public:
  Network(const ModelSpec& model, const EdgeList& edges)
      : model_(model)
      , edges_(edges) {}

  /// Runs all stages forward and, unless forces are direct, in reverse.
  Result run();

  /// For tests: runs one stage alone, with these values of the earlier stages. Values on edges are
  /// always computed from the edges.
  Value forward_alone(StageIndex k, std::vector<Value> values);

  /// Call it after forward_alone(). Returns dE/d(value) for each earlier stage and, through values
  /// on edges, fills outputs().edge_gradient.
  const std::vector<Value>& adjoint_alone(StageIndex k, const Value& adj_out);

  const ModelSpec& model() const { return model_; }

  const EdgeList& edges() const { return edges_; }

  Outputs& outputs() { return outputs_; }

  /// The current stage.
  const Stage& this_stage() const { return model_.graph[current_]; }

  /// The irreps of its output.
  const Irreps& out_irreps() const { return this_stage().irreps; }

  /// dE/d(output of the current stage)
  const Value& adj_out() const { return adjoints_[current_]; }

  const Irreps& irreps(StageIndex k) const {
    return model_.graph[static_cast<std::size_t>(k)].irreps;
  }

  const Value& value(StageIndex k) const { return values_[static_cast<std::size_t>(k)]; }

  Value& adjoint(StageIndex k) { return adjoints_[static_cast<std::size_t>(k)]; }

  /// Whether atom i has no neighbors and the model sets the network's energy of such atoms to zero.
  bool zeroed(std::int64_t i) const {
    return model_.energy.isolated_atoms_are_zero &&
           edges_.begin[static_cast<std::size_t>(i)] ==
               edges_.begin[static_cast<std::size_t>(i) + 1];
  }

  /// Factor of the network's energies: the number of atoms if the energy is a mean per atom,
  /// otherwise 1.
  double n_counted() const {
    return model_.energy.semantics == EnergySemantics::MeanPerAtom ? edges_.n_centers : 1.0;
  }

private:
  /// Whether the stage computes values on edges: harmonics, matrices, radial functions.
  static bool is_of_edges(const Stage& stage) {
    return stage.kind == ValueKind::Harmonics || stage.kind == ValueKind::Matrix ||
           stage.kind == ValueKind::Radial;
  }

  Value run_forward();
  void run_adjoint();

  const ModelSpec& model_;
  const EdgeList& edges_;
  Outputs outputs_;
  std::vector<Value> values_, adjoints_;
  std::size_t current_ = 0;
};

/// Each overload is defined in reference/stages/NAME.cpp.
#define EQNN_REFERENCE(Type, name)                                                                 \
  Value forward(const Type##Stage& op, Network& at);                                               \
  void adjoint(const Type##Stage& op, Network& at);
EQNN_MODEL_STAGES(EQNN_REFERENCE)
#undef EQNN_REFERENCE

} // namespace eqnn::reference
