// SPDX-License-Identifier: BSD-3-Clause
#include "reference/evaluate.hpp"

#include "base/error.hpp"
#include "reference/network.hpp"

namespace eqnn::reference {

Result Network::run() {
  for (current_ = 0; current_ < model_.graph.size(); ++current_) {
    values_.push_back(
        std::visit([&](const auto& op) { return forward(op, *this); }, this_stage().op));
  }
  for (const Value& value : values_) {
    adjoints_.emplace_back(value.rows, value.components, value.channels);
  }
  if (model_.forces == ForceKind::Gradient) {
    outputs_.edge_gradient.assign(3 * static_cast<std::size_t>(edges_.n_edges()), 0.0);
    for (current_ = model_.graph.size(); current_-- > 0;) {
      std::visit([&](const auto& op) { reference::adjoint(op, *this); }, this_stage().op);
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
