// SPDX-License-Identifier: BSD-3-Clause
// The only list of stages. The variants of model, plan and device, their includes, and the list of
// sources to compile are derived from it. cmake/EqnnStages.cmake reads it, too.
//
// A stage has one name, and a file of that name in each of these folders:
//   FILE   a model file holds it, and it is executed: model, plan, reference, kernels
//   GRAPH  a model file holds it, and it becomes other stages of the plan: model, plan, reference
//   KERNEL only executed, other stages become it: plan, kernels
// If a model file has several forms of a stage, its struct in src/model/stages lists the other
// names.
#pragma once

// clang-format off
#define EQNN_STAGES(FILE, GRAPH, KERNEL)              \
  GRAPH(SphericalHarmonics, spherical_harmonics)      \
  GRAPH(EdgeMatrix, edge_matrix)                      \
  GRAPH(Radial, radial)                               \
  FILE(SpeciesEmbedding, species_embedding)           \
  GRAPH(DegreeEmbedding, degree_embedding)            \
  KERNEL(NeighborSum, neighbor_sum)                   \
  FILE(Add, add)                                      \
  FILE(Linear, linear)                                \
  FILE(EquivariantNorm, equivariant_norm)             \
  FILE(RmsNorm, rms_norm)                             \
  FILE(Divide, divide)                                \
  FILE(NormActivation, norm_activation)               \
  FILE(Gate, gate)                                    \
  FILE(EdgeAttention, edge_attention)                 \
  GRAPH(EdgeTensorProduct, edge_tensor_product)       \
  FILE(EdgeNetworkProduct, edge_network_product)      \
  GRAPH(GauntConvolution, gaunt_convolution)          \
  GRAPH(CpConvolution, cp_convolution)                \
  KERNEL(CpProduct, cp_product)                       \
  KERNEL(ComponentMap, component_map)                 \
  KERNEL(EdgeProduct, edge_product)                   \
  KERNEL(ZonalProduct, zonal_product)                 \
  GRAPH(SymmetricContraction, symmetric_contraction)  \
  GRAPH(SpherePolynomial, sphere_polynomial)          \
  KERNEL(Polynomial, polynomial)                      \
  KERNEL(SpherePower, sphere_power)                   \
  FILE(GauntProduct, gaunt_product)                   \
  FILE(Zbl, zbl)                                      \
  FILE(Readout, readout)                              \
  FILE(DirectForces, direct_forces)                   \
  GRAPH(Energy, energy)
// clang-format on

#define EQNN_NO_STAGE(Type, name)
/// X(Type, name) for each stage of a model file.
#define EQNN_MODEL_STAGES(X) EQNN_STAGES(X, X, EQNN_NO_STAGE)
/// X(Type, name) for each stage of a plan. Each is also a stage on the device.
#define EQNN_PLAN_STAGES(X) EQNN_STAGES(X, EQNN_NO_STAGE, X)
