// SPDX-License-Identifier: BSD-3-Clause
// One function per equation of docs/spec/model_file.md, and beside it its adjoint. Plain loops over
// nodes, edges, components, channels. An adjoint takes dE/d(output), `adj_out`, and *adds* to
// dE/d(each input).
#pragma once

#include "base/edge_list.hpp"
#include "model/model_spec.hpp"
#include "reference/value.hpp"

namespace eqnn::reference {

/// Row of an MLP: hidden values of every layer, kept for the adjoint.
std::vector<double> mlp(const std::vector<MlpLayer>& layers, const std::vector<double>& x);
/// dE/dx for one row; recomputes the hidden values.
std::vector<double> mlp_adjoint(const std::vector<MlpLayer>& layers,
                                const std::vector<double>& x,
                                const std::vector<double>& adj_y);

/// Value [C] and derivative by r [C] of a radial function at distance r (Angstrom).
struct RadialSample {
  std::vector<double> value, derivative;
};

RadialSample radial(const RadialStage& stage, double cutoff, double r);

Value edge_matrix(const EdgeMatrixStage& stage, const Value& harmonics);
void edge_matrix_adjoint(const EdgeMatrixStage& stage,
                         const Value& adj_matrix,
                         Value& adj_harmonics);

Value species_embedding(const SpeciesEmbeddingStage& stage, const EdgeList& edges);

Value degree_embedding(const DegreeEmbeddingStage& stage,
                       const EdgeList& edges,
                       const Value& matrix,
                       const Value& radial);
void degree_embedding_adjoint(const DegreeEmbeddingStage& stage,
                              const EdgeList& edges,
                              const Value& matrix,
                              const Value& radial,
                              const Value& adj_out,
                              Value& adj_matrix,
                              Value& adj_radial);

Value equivariant_norm(const EquivariantNormStage& stage, const Value& x);
void equivariant_norm_adjoint(const EquivariantNormStage& stage,
                              const Value& x,
                              const Value& adj_out,
                              Value& adj_x);

Value linear(const LinearStage& stage, const Value& x);
void linear_adjoint(const LinearStage& stage, const Value& adj_out, Value& adj_x);

Value gate(const Value& x, const Value& gates);
void gate_adjoint(
    const Value& x, const Value& gates, const Value& adj_out, Value& adj_x, Value& adj_gates);

Value edge_attention(const EdgeAttentionStage& stage,
                     const EdgeList& edges,
                     const Value& source,
                     const Value& center,
                     const Value& matrix,
                     const Value& radial);
void edge_attention_adjoint(const EdgeAttentionStage& stage,
                            const EdgeList& edges,
                            const Value& source,
                            const Value& center,
                            const Value& matrix,
                            const Value& radial,
                            const Value& adj_out,
                            Value& adj_source,
                            Value& adj_center,
                            Value& adj_matrix,
                            Value& adj_radial);

Value readout(const ReadoutStage& stage, const Value& x);
void readout_adjoint(const ReadoutStage& stage, const Value& x, const Value& adj_out, Value& adj_x);

} // namespace eqnn::reference
