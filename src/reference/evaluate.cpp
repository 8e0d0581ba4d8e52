// SPDX-License-Identifier: BSD-3-Clause
#include "reference/evaluate.hpp"

#include "base/error.hpp"
#include "reference/network.hpp"

namespace eqnn::reference {

Value Network::run_forward() {
  return std::visit([&](const auto& op) { return forward(op, *this); }, this_stage().op);
}

void Network::run_adjoint() {
  std::visit([&](const auto& op) { reference::adjoint(op, *this); }, this_stage().op);
}

Value Network::forward_alone(StageIndex k, std::vector<Value> values) {
  outputs_ = {};
  values_ = std::move(values);
  const auto stage = static_cast<std::size_t>(k);
  for (current_ = 0; current_ < stage; ++current_) {
    if (is_of_edges(this_stage())) {
      values_[current_] = run_forward();
    }
  }
  return run_forward();
}

const std::vector<Value>& Network::adjoint_alone(StageIndex k, const Value& adj_out) {
  outputs_.edge_gradient.assign(3 * static_cast<std::size_t>(edges_.n_edges()), 0.0);
  adjoints_.clear();
  for (const Value& value : values_) {
    adjoints_.emplace_back(value.rows, value.components, value.channels);
  }
  current_ = static_cast<std::size_t>(k);
  adjoints_.resize(current_ + 1);
  adjoints_[current_] = adj_out;
  run_adjoint();
  while (current_-- > 0) {
    if (is_of_edges(this_stage())) {
      run_adjoint();
    }
  }
  current_ = static_cast<std::size_t>(k);
  return adjoints_;
}

Result Network::run() {
  for (current_ = 0; current_ < model_.graph.size(); ++current_) {
    values_.push_back(run_forward());
  }
  for (const Value& value : values_) {
    adjoints_.emplace_back(value.rows, value.components, value.channels);
  }
  if (model_.forces == ForceKind::Gradient) {
    outputs_.edge_gradient.assign(3 * static_cast<std::size_t>(edges_.n_edges()), 0.0);
    for (current_ = model_.graph.size(); current_-- > 0;) {
      run_adjoint();
    }
  }
  return {std::move(outputs_), std::move(values_)};
}

Result evaluate(const ModelSpec& model, const EdgeList& edges) {
  if (edges.n_nodes != edges.n_centers) {
    fail("reference::evaluate: ",
         edges.n_nodes - edges.n_centers,
         " ghosts, expected none: give periodic images as edges.");
  }
  require_sound_edges(edges);
  return Network(model, edges).run();
}

} // namespace eqnn::reference
