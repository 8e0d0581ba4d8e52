// SPDX-License-Identifier: BSD-3-Clause
#include "reference/evaluate.hpp"

#include "base/error.hpp"
#include "reference/irreps_stages.hpp"
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
    for (current_ = 0; current_ < model_.graph.size(); ++current_) {
      values_.push_back(
          std::visit([&](const auto& op) { return forward(op, result); }, this_stage().op));
    }
    for (const Value& value : values_) {
      adjoints_.emplace_back(value.rows, value.components, value.channels);
    }
    if (model_.forces == ForceKind::Direct) {
      result.values = std::move(values_);
      return result;
    }
    result.outputs.edge_gradient.assign(3 * static_cast<std::size_t>(edges_.n_edges()), 0.0);
    for (current_ = model_.graph.size(); current_-- > 0;) {
      std::visit([&](const auto& op) { backward(op, result); }, this_stage().op);
    }
    result.values = std::move(values_);
    return result;
  }

private:
  const Value& value(StageIndex k) const { return values_[static_cast<std::size_t>(k)]; }

  const Stage& this_stage() const { return model_.graph[current_]; }

  /// Of what the stage whose turn it is makes.
  const Irreps& out_irreps() const { return this_stage().irreps; }

  const Irreps& irreps(StageIndex k) const {
    return model_.graph[static_cast<std::size_t>(k)].irreps;
  }

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
    add_blocks(sum, irreps(op.a), value(op.b), irreps(op.b));
    return sum;
  }

  void backward(const AddStage& op, Result&) {
    take_blocks(adjoint(op.a), irreps(op.a), adj_out(), out_irreps());
    take_blocks(adjoint(op.b), irreps(op.b), adj_out(), out_irreps());
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

  Value forward(const IrrepsLinearStage& op, Result&) const {
    return irreps_linear(op, edges_, irreps(op.features), out_irreps(), value(op.features));
  }

  void backward(const IrrepsLinearStage& op, Result&) {
    irreps_linear_adjoint(
        op, edges_, irreps(op.features), out_irreps(), adj_out(), adjoint(op.features));
  }

  Value forward(const EdgeTensorProductStage& op, Result&) const {
    return edge_tensor_product(op,
                               edges_,
                               irreps(op.source),
                               out_irreps(),
                               value(op.source),
                               value(op.harmonics),
                               value(op.radial));
  }

  void backward(const EdgeTensorProductStage& op, Result&) {
    edge_tensor_product_adjoint(op,
                                edges_,
                                irreps(op.source),
                                out_irreps(),
                                value(op.source),
                                value(op.harmonics),
                                value(op.radial),
                                adj_out(),
                                adjoint(op.source),
                                adjoint(op.harmonics),
                                adjoint(op.radial));
  }

  Value forward(const IrrepsGateStage& op, Result&) const {
    return irreps_gate(op, irreps(op.features), out_irreps(), value(op.features));
  }

  void backward(const IrrepsGateStage& op, Result&) {
    irreps_gate_adjoint(
        op, irreps(op.features), out_irreps(), value(op.features), adj_out(), adjoint(op.features));
  }

  Value forward(const RmsNormStage& op, Result&) const {
    return rms_norm(op, out_irreps(), value(op.features));
  }

  void backward(const RmsNormStage& op, Result&) {
    rms_norm_adjoint(op, out_irreps(), value(op.features), adj_out(), adjoint(op.features));
  }

  Value forward(const SymmetricContractionStage& op, Result&) const {
    return symmetric_contraction(op, edges_, out_irreps(), value(op.features));
  }

  void backward(const SymmetricContractionStage& op, Result&) {
    symmetric_contraction_adjoint(
        op, edges_, out_irreps(), value(op.features), adj_out(), adjoint(op.features));
  }

  Value forward(const SpherePolynomialStage& op, Result&) const {
    return sphere_polynomial(op, edges_, this_stage().l_max, value(op.features));
  }

  void backward(const SpherePolynomialStage& op, Result&) {
    sphere_polynomial_adjoint(
        op, edges_, this_stage().l_max, value(op.features), adj_out(), adjoint(op.features));
  }

  Value forward(const GauntProductStage& op, Result&) const {
    return gaunt_product(op, this_stage().l_max, value(op.a), value(op.b));
  }

  void backward(const GauntProductStage& op, Result&) {
    gaunt_product_adjoint(
        op, this_stage().l_max, value(op.a), value(op.b), adj_out(), adjoint(op.a), adjoint(op.b));
  }

  Value forward(const GauntConvolutionStage& op, Result&) const {
    return gaunt_convolution(
        edges_, this_stage().l_max, value(op.source), value(op.harmonics), value(op.radial));
  }

  void backward(const GauntConvolutionStage& op, Result&) {
    gaunt_convolution_adjoint(edges_,
                              this_stage().l_max,
                              value(op.source),
                              value(op.harmonics),
                              value(op.radial),
                              adj_out(),
                              adjoint(op.source),
                              adjoint(op.harmonics),
                              adjoint(op.radial));
  }

  Value forward(const ZblStage& op, Result&) const {
    Value y(edges_.n_centers, 1, 1);
    for_pairs(op, [&](std::int32_t i, std::int64_t, const PairEnergy& pair) {
      y.at(i, 0, 0) += pair.value;
    });
    return y;
  }

  void backward(const ZblStage& op, Result& result) {
    for_pairs(op, [&](std::int32_t i, std::int64_t e, const PairEnergy& pair) {
      const auto r = edge_vector(edges_, e);
      for (std::size_t a = 0; a < 3; ++a) {
        result.outputs.edge_gradient[static_cast<std::size_t>(3 * e) + a] +=
            adj_out().at(i, 0, 0) * pair.slope * r[a] / length(r);
      }
    });
  }

  template <class Use> void for_pairs(const ZblStage& op, const Use& use) const {
    const auto species_of = [&](std::int32_t node) {
      return edges_.species[static_cast<std::size_t>(node)];
    };
    const auto number_of = [&](std::int32_t node) {
      return model_.species[static_cast<std::size_t>(species_of(node))];
    };
    for (std::int32_t i = 0; i < edges_.n_centers; ++i) {
      for (std::int64_t e = edges_.begin[static_cast<std::size_t>(i)];
           e < edges_.begin[static_cast<std::size_t>(i) + 1];
           ++e) {
        const std::int32_t j = edges_.source[static_cast<std::size_t>(e)];
        use(i,
            e,
            zbl(op,
                species_of(i),
                species_of(j),
                number_of(i),
                number_of(j),
                length(edge_vector(edges_, e))));
      }
    }
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
      result.outputs.energy.push_back(n_counted() * model_.energy.scale[species] *
                                          total.at(i, 0, 0) +
                                      model_.energy.shift + model_.energy.reference[species]);
    }
    return total;
  }

  void backward(const EnergyStage& op, Result&) {
    for (const StageIndex term : op.terms) {
      for (std::int64_t i = 0; i < edges_.n_centers; ++i) {
        const auto species = static_cast<std::size_t>(edges_.species[static_cast<std::size_t>(i)]);
        adjoint(term).at(i, 0, 0) += zeroed(i) ? 0.0 : n_counted() * model_.energy.scale[species];
      }
    }
  }

  /// By what the network's energies are multiplied: of a mean per atom, the number of atoms.
  double n_counted() const {
    return model_.energy.semantics == EnergySemantics::MeanPerAtom ? edges_.n_centers : 1.0;
  }

  /// Atoms without neighbours, where the model gives them no energy of the network.
  bool zeroed(std::int64_t i) const {
    return model_.energy.isolated_atoms_are_zero &&
           edges_.begin[static_cast<std::size_t>(i)] ==
               edges_.begin[static_cast<std::size_t>(i) + 1];
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
