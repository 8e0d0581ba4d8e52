// SPDX-License-Identifier: BSD-3-Clause
// A network while it is evaluated: where forward() and adjoint() of each stage find values, and where
// they put what they give. An adjoint takes dE/d(output), adj_out(), and *adds* to dE/d(each input).
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

  /// All stages forward, and in reverse unless forces are direct.
  Result run();

  /// One stage alone, for tests: what it makes of these values of the stages before it. Those of edges are
  /// made of the edges, whatever is given.
  Value forward_alone(StageIndex k, std::vector<Value> values);

  /// After it: dE/d(value) of each stage before, and through those of edges outputs().edge_gradient.
  const std::vector<Value>& adjoint_alone(StageIndex k, const Value& adj_out);

  const ModelSpec& model() const { return model_; }

  const EdgeList& edges() const { return edges_; }

  Outputs& outputs() { return outputs_; }

  /// The stage whose turn it is.
  const Stage& this_stage() const { return model_.graph[current_]; }

  /// Of what it makes.
  const Irreps& out_irreps() const { return this_stage().irreps; }

  /// dE/d(what it makes)
  const Value& adj_out() const { return adjoints_[current_]; }

  const Irreps& irreps(StageIndex k) const {
    return model_.graph[static_cast<std::size_t>(k)].irreps;
  }

  const Value& value(StageIndex k) const { return values_[static_cast<std::size_t>(k)]; }

  Value& adjoint(StageIndex k) { return adjoints_[static_cast<std::size_t>(k)]; }

  /// Atoms without neighbors, where the model gives them no energy of the network.
  bool zeroed(std::int64_t i) const {
    return model_.energy.isolated_atoms_are_zero &&
           edges_.begin[static_cast<std::size_t>(i)] ==
               edges_.begin[static_cast<std::size_t>(i) + 1];
  }

  /// By what the network's energies are multiplied: of a mean per atom, the number of atoms.
  double n_counted() const {
    return model_.energy.semantics == EnergySemantics::MeanPerAtom ? edges_.n_centers : 1.0;
  }

private:
  /// Makes values of edges alone: harmonics, matrices, radial functions.
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

/// Every one is defined in reference/stages/NAME.cpp.
#define EQNN_REFERENCE(Type, name)                                                                 \
  Value forward(const Type##Stage& op, Network& at);                                               \
  void adjoint(const Type##Stage& op, Network& at);
EQNN_MODEL_STAGES(EQNN_REFERENCE)
#undef EQNN_REFERENCE

} // namespace eqnn::reference
