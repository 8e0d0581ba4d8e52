// SPDX-License-Identifier: BSD-3-Clause
// Stages with Clebsch-Gordan paths and Gaunt products, one function per equation of
// docs/spec/model_file.md, and beside it its adjoint, which *adds* to dE/d(each input). Products of
// functions on the sphere are made on a quadrature grid of exact degree: what they mean, not how
// they are computed fast.
//
// A value with irreps has the components of one block after another; blocks with fewer channels than
// the widest leave the rest at zero.
#pragma once

#include "base/edge_list.hpp"
#include "model/model_spec.hpp"
#include "reference/value.hpp"

namespace eqnn::reference {

/// Zeros for node features of these irreps.
Value features(std::int64_t rows, const Irreps& irreps);

/// sum += x, whose blocks are some of sum's.
void add_blocks(Value& sum, const Irreps& sum_irreps, const Value& x, const Irreps& x_irreps);
/// x += those blocks of sum.
void take_blocks(Value& x, const Irreps& x_irreps, const Value& sum, const Irreps& sum_irreps);

Value irreps_linear(const IrrepsLinearStage& stage,
                    const EdgeList& edges,
                    const Irreps& in,
                    const Irreps& out,
                    const Value& x);
void irreps_linear_adjoint(const IrrepsLinearStage& stage,
                           const EdgeList& edges,
                           const Irreps& in,
                           const Irreps& out,
                           const Value& adj_out,
                           Value& adj_x);

Value edge_tensor_product(const EdgeTensorProductStage& stage,
                          const EdgeList& edges,
                          const Irreps& in,
                          const Irreps& out,
                          const Value& source,
                          const Value& harmonics,
                          const Value& radial);
void edge_tensor_product_adjoint(const EdgeTensorProductStage& stage,
                                 const EdgeList& edges,
                                 const Irreps& in,
                                 const Irreps& out,
                                 const Value& source,
                                 const Value& harmonics,
                                 const Value& radial,
                                 const Value& adj_out,
                                 Value& adj_source,
                                 Value& adj_harmonics,
                                 Value& adj_radial);

Value irreps_gate(const IrrepsGateStage& stage,
                  const Irreps& in,
                  const Irreps& out,
                  const Value& x);
void irreps_gate_adjoint(const IrrepsGateStage& stage,
                         const Irreps& in,
                         const Irreps& out,
                         const Value& x,
                         const Value& adj_out,
                         Value& adj_x);

Value rms_norm(const RmsNormStage& stage, const Irreps& irreps, const Value& x);
void rms_norm_adjoint(const RmsNormStage& stage,
                      const Irreps& irreps,
                      const Value& x,
                      const Value& adj_out,
                      Value& adj_x);

Value symmetric_contraction(const SymmetricContractionStage& stage,
                            const EdgeList& edges,
                            const Irreps& out,
                            const Value& x);
void symmetric_contraction_adjoint(const SymmetricContractionStage& stage,
                                   const EdgeList& edges,
                                   const Irreps& out,
                                   const Value& x,
                                   const Value& adj_out,
                                   Value& adj_x);

/// l_max: of the output.
Value sphere_polynomial(const SpherePolynomialStage& stage,
                        const EdgeList& edges,
                        std::int32_t l_max,
                        const Value& x);
void sphere_polynomial_adjoint(const SpherePolynomialStage& stage,
                               const EdgeList& edges,
                               std::int32_t l_max,
                               const Value& x,
                               const Value& adj_out,
                               Value& adj_x);

Value gaunt_product(const GauntProductStage& stage,
                    std::int32_t l_max,
                    const Value& a,
                    const Value& b);
void gaunt_product_adjoint(const GauntProductStage& stage,
                           std::int32_t l_max,
                           const Value& a,
                           const Value& b,
                           const Value& adj_out,
                           Value& adj_a,
                           Value& adj_b);

Value gaunt_convolution(const EdgeList& edges,
                        std::int32_t l_max,
                        const Value& source,
                        const Value& harmonics,
                        const Value& radial);
void gaunt_convolution_adjoint(const EdgeList& edges,
                               std::int32_t l_max,
                               const Value& source,
                               const Value& harmonics,
                               const Value& radial,
                               const Value& adj_out,
                               Value& adj_source,
                               Value& adj_harmonics,
                               Value& adj_radial);

/// Energy of one directed edge at distance r (eV; half a pair's) and its slope.
struct PairEnergy {
  double value = 0.0, slope = 0.0;
};

/// species: rows of the model's tables; number: atomic numbers.
PairEnergy zbl(const ZblStage& stage,
               std::int32_t species_i,
               std::int32_t species_j,
               std::int32_t number_i,
               std::int32_t number_j,
               double r);

} // namespace eqnn::reference
