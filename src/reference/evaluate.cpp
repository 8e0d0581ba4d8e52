// SPDX-License-Identifier: BSD-3-Clause
#include "reference/evaluate.hpp"

#include "base/error.hpp"
#include "reference/stages.hpp"
#include "so3/spherical_harmonics.hpp"

#include <cmath>

namespace eqnn::reference {
namespace {

/// Calls the overload that fits the alternative of a std::variant.
template <class... Functions> struct Overloaded : Functions... {
  using Functions::operator()...;
};
template <class... Functions> Overloaded(Functions...) -> Overloaded<Functions...>;

std::array<double, 3> edge_vector(const EdgeList& edges, std::int64_t e) {
  const auto k = static_cast<std::size_t>(3 * e);
  return {edges.vector[k], edges.vector[k + 1], edges.vector[k + 2]};
}

double length(const std::array<double, 3>& r) {
  return std::sqrt(r[0] * r[0] + r[1] * r[1] + r[2] * r[2]);
}

class Network {
public:
  Network(const ModelSpec& model, const EdgeList& edges)
      : model_(model)
      , edges_(edges) {}

  Result run() {
    Result result;
    for (const Stage& stage : model_.graph) {
      values_.push_back(std::visit([&](const auto& op) { return forward(op, result); }, stage.op));
    }
    for (const Value& value : values_) {
      adjoints_.emplace_back(value.rows, value.components, value.channels);
    }
    if (model_.forces == ForceKind::Direct) {
      result.values = std::move(values_);
      return result;
    }
    result.outputs.edge_gradient.assign(3 * static_cast<std::size_t>(edges_.n_edges()), 0.0);
    for (std::size_t k = model_.graph.size(); k-- > 0;) {
      current_ = k;
      std::visit([&](const auto& op) { backward(op, result); }, model_.graph[k].op);
    }
    result.values = std::move(values_);
    return result;
  }

private:
  const Value& value(StageIndex k) const { return values_[static_cast<std::size_t>(k)]; }

  Value& adjoint(StageIndex k) { return adjoints_[static_cast<std::size_t>(k)]; }

  /// dE/d(output) of the stage whose turn it is
  const Value& adj_out() const { return adjoints_[current_]; }

  // Forward and adjoint of each stage, side by side.

  Value forward(const SphericalHarmonicsStage& op, Result&) const {
    Value y(edges_.n_edges(), so3::n_components(op.l_max), 1);
    for (std::int64_t e = 0; e < y.rows; ++e) {
      const auto harmonics = so3::spherical_harmonics(op.l_max, edge_vector(edges_, e));
      for (std::int32_t j = 0; j < y.components; ++j) {
        y.at(e, j, 0) = harmonics.value[static_cast<std::size_t>(j)];
      }
    }
    return y;
  }

  void backward(const SphericalHarmonicsStage& op, Result& result) {
    for (std::int64_t e = 0; e < edges_.n_edges(); ++e) {
      const auto harmonics = so3::spherical_harmonics(op.l_max, edge_vector(edges_, e));
      for (std::size_t j = 0; j < harmonics.value.size(); ++j) {
        for (std::size_t a = 0; a < 3; ++a) {
          result.outputs.edge_gradient[static_cast<std::size_t>(3 * e) + a] +=
              adj_out().at(e, static_cast<std::int32_t>(j), 0) * harmonics.gradient[j][a];
        }
      }
    }
  }

  Value forward(const EdgeMatrixStage& op, Result&) const {
    return edge_matrix(op, value(op.harmonics));
  }

  void backward(const EdgeMatrixStage& op, Result&) {
    edge_matrix_adjoint(op, adj_out(), adjoint(op.harmonics));
  }

  Value forward(const RadialStage& op, Result&) const {
    Value w(edges_.n_edges(), 1, static_cast<std::int32_t>(op.layers.back().weight.shape[0]));
    for (std::int64_t e = 0; e < w.rows; ++e) {
      const auto sample = radial(op, model_.cutoff, length(edge_vector(edges_, e)));
      for (std::int32_t c = 0; c < w.channels; ++c) {
        w.at(e, 0, c) = sample.value[static_cast<std::size_t>(c)];
      }
    }
    return w;
  }

  void backward(const RadialStage& op, Result& result) {
    for (std::int64_t e = 0; e < edges_.n_edges(); ++e) {
      const auto r = edge_vector(edges_, e);
      const auto sample = radial(op, model_.cutoff, length(r));
      double adj_r = 0.0;
      for (std::int32_t c = 0; c < adj_out().channels; ++c) {
        adj_r += adj_out().at(e, 0, c) * sample.derivative[static_cast<std::size_t>(c)];
      }
      for (std::size_t a = 0; a < 3; ++a) {
        result.outputs.edge_gradient[static_cast<std::size_t>(3 * e) + a] +=
            adj_r * r[a] / length(r);
      }
    }
  }

  Value forward(const SpeciesEmbeddingStage& op, Result&) const {
    return species_embedding(op, edges_);
  }

  void backward(const SpeciesEmbeddingStage&, Result&) {}

  Value forward(const DegreeEmbeddingStage& op, Result&) const {
    return degree_embedding(op, edges_, value(op.matrix), value(op.radial));
  }

  void backward(const DegreeEmbeddingStage& op, Result&) {
    degree_embedding_adjoint(op,
                             edges_,
                             value(op.matrix),
                             value(op.radial),
                             adj_out(),
                             adjoint(op.matrix),
                             adjoint(op.radial));
  }

  Value forward(const AddStage& op, Result&) const {
    Value sum = value(op.a);
    add_to(sum, value(op.b));
    return sum;
  }

  void backward(const AddStage& op, Result&) {
    add_to(adjoint(op.a), adj_out());
    add_to(adjoint(op.b), adj_out());
  }

  Value forward(const EquivariantNormStage& op, Result&) const {
    return equivariant_norm(op, value(op.features));
  }

  void backward(const EquivariantNormStage& op, Result&) {
    equivariant_norm_adjoint(op, value(op.features), adj_out(), adjoint(op.features));
  }

  Value forward(const LinearStage& op, Result&) const { return linear(op, value(op.features)); }

  void backward(const LinearStage& op, Result&) {
    linear_adjoint(op, adj_out(), adjoint(op.features));
  }

  Value forward(const GateStage& op, Result&) const {
    return gate(value(op.features), value(op.gates));
  }

  void backward(const GateStage& op, Result&) {
    gate_adjoint(
        value(op.features), value(op.gates), adj_out(), adjoint(op.features), adjoint(op.gates));
  }

  Value forward(const EdgeAttentionStage& op, Result&) const {
    return edge_attention(
        op, edges_, value(op.source), value(op.center), value(op.matrix), value(op.radial));
  }

  void backward(const EdgeAttentionStage& op, Result&) {
    edge_attention_adjoint(op,
                           edges_,
                           value(op.source),
                           value(op.center),
                           value(op.matrix),
                           value(op.radial),
                           adj_out(),
                           adjoint(op.source),
                           adjoint(op.center),
                           adjoint(op.matrix),
                           adjoint(op.radial));
  }

  Value forward(const ReadoutStage& op, Result&) const { return readout(op, value(op.features)); }

  void backward(const ReadoutStage& op, Result&) {
    readout_adjoint(op, value(op.features), adj_out(), adjoint(op.features));
  }

  Value forward(const DirectForcesStage& op, Result& result) const {
    const Value& x = value(op.features);
    for (std::int64_t i = 0; i < x.rows; ++i) {
      for (std::int32_t a = 0; a < 3; ++a) {
        result.outputs.direct_forces.push_back(zeroed(i) ? 0.0 : x.at(i, 1 + a, 0));
      }
    }
    return {};
  }

  void backward(const DirectForcesStage&, Result&) {}

  Value forward(const EnergyStage& op, Result& result) const {
    Value total(edges_.n_centers, 1, 1);
    for (std::int64_t i = 0; i < total.rows; ++i) {
      for (const StageIndex term : op.terms) {
        total.at(i, 0, 0) += zeroed(i) ? 0.0 : value(term).at(i, 0, 0);
      }
      const auto species = static_cast<std::size_t>(edges_.species[static_cast<std::size_t>(i)]);
      result.outputs.energy.push_back(model_.energy.scale * total.at(i, 0, 0) +
                                      model_.energy.shift + model_.energy.reference[species]);
    }
    return total;
  }

  void backward(const EnergyStage& op, Result&) {
    for (const StageIndex term : op.terms) {
      for (std::int64_t i = 0; i < edges_.n_centers; ++i) {
        adjoint(term).at(i, 0, 0) += zeroed(i) ? 0.0 : model_.energy.scale;
      }
    }
  }

  /// Atoms without neighbours, where the model gives them no energy of the network.
  bool zeroed(std::int64_t i) const {
    return model_.energy.isolated_atoms_are_zero &&
           edges_.begin[static_cast<std::size_t>(i)] ==
               edges_.begin[static_cast<std::size_t>(i) + 1];
  }

  static void add_to(Value& x, const Value& y) {
    for (std::size_t k = 0; k < x.data.size(); ++k) {
      x.data[k] += y.data[k];
    }
  }

  const ModelSpec& model_;
  const EdgeList& edges_;
  std::vector<Value> values_, adjoints_;
  std::size_t current_ = 0;
};

} // namespace

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
