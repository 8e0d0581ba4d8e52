// SPDX-License-Identifier: BSD-3-Clause
#include "plan/matrix.hpp"
#include "plan/plan_builder.hpp"

#include <algorithm>
#include <array>

namespace eqnn::plan {
namespace {

/// Number of neighbors of an atom, assumed to choose a method: the plan does not know it.
constexpr double kNeighbors = 20.0;

/// Estimated time of forward and adjoint for one channel of an edge, in ns on one core with AVX-512
/// in single precision. Fitted to measurements of bench_couplings (docs/performance.md). Only
/// ratios matter, and they are similar on other machines.
double cost(const CpConvolutionStage& op, const PlanBuilder& build, CouplingMethod method) {
  const double channels = build.current().channels;
  const auto d1 = static_cast<double>(op.source_factor.shape[0]);
  const auto d2 = static_cast<double>(op.harmonic_factor.shape[0]);
  const auto d3 = static_cast<double>(op.out_factor.shape[0]);
  const auto rank = static_cast<double>(op.out_factor.shape[1]);
  // Work per edge that does not depend on channels: its matrix, its factors, sums over registers.
  const double of_matrix = (2.2 + 0.045 * d2) / channels;
  const double of_factor = 3.8 / channels;
  // As rows of factors grow, they no longer fit into the caches.
  const double gather = 0.39 + 4.6e-6 * rank * channels * build.options().scalar_bytes;
  const double on_node = 0.043 / kNeighbors;
  switch (method) {
  case CouplingMethod::Matrix:
    return d1 * d3 * (0.093 + of_matrix);
  case CouplingMethod::Cp:
    return rank * (0.07 * d1 + 0.39 + of_factor + on_node * d3);
  default:
    return rank * (gather + of_factor + on_node * (d1 + d3));
  }
}

CouplingMethod method_of(const CpConvolutionStage& op, const PlanBuilder& build) {
  if (build.options().couplings) {
    return *build.options().couplings;
  }
  constexpr std::array kAll{CouplingMethod::Matrix, CouplingMethod::Cp, CouplingMethod::Node};
  return *std::min_element(kAll.begin(), kAll.end(), [&](CouplingMethod a, CouplingMethod b) {
    return cost(op, build, a) < cost(op, build, b);
  });
}

/// A single path with all components, with K = Y T.
void add_matrix(const CpConvolutionStage& op, PlanBuilder& build) {
  const auto d1 = op.source_factor.shape[0];
  const auto d2 = op.harmonic_factor.shape[0];
  const auto d3 = op.out_factor.shape[0];
  const auto rank = op.out_factor.shape[1];
  EdgeProduct product;
  product.harmonics = static_cast<std::int32_t>(d2);
  product.entries = static_cast<std::int32_t>(d1 * d3);
  product.coupling.assign(static_cast<std::size_t>(d2 * d1 * d3), 0.0);
  auto entry = product.coupling.begin();
  for (std::int64_t j = 0; j < d2; ++j) {
    for (std::int64_t i = 0; i < d1; ++i) {
      for (std::int64_t k = 0; k < d3; ++k, ++entry) {
        for (std::int64_t r = 0; r < rank; ++r) {
          *entry += op.harmonic_factor.values[static_cast<std::size_t>(j * rank + r)] *
                    op.source_factor.values[static_cast<std::size_t>(i * rank + r)] *
                    op.out_factor.values[static_cast<std::size_t>(k * rank + r)];
        }
      }
    }
  }
  product.paths.push_back({kAllBlocks, kAllBlocks, build.current().channels, 0, 0, 0});
  product.radial = build.index(op.radial);
  product.source = build.compact(op.source);
  product.out = build.output();
  build.add(std::move(product));
}

/// Sums over edges in factors. The output is mixed on the nodes; the source on the nodes if
/// mixes_nodes, otherwise on the edges.
void add_factors(const CpConvolutionStage& op, bool mixes_nodes, PlanBuilder& build) {
  const auto rank = static_cast<std::int32_t>(op.out_factor.shape[1]);
  const std::string& name = build.current().output;
  const std::vector<Block> in_factors{{rank, build.current().channels, build.current().channels}};
  CpProduct product;
  product.radial = build.index(op.radial);
  product.harmonics = static_cast<std::int32_t>(op.harmonic_factor.shape[0]);
  product.rank = rank;
  product.harmonic_factor = op.harmonic_factor.values;
  product.source = build.compact(op.source);
  if (mixes_nodes) {
    ComponentMap before;
    before.in = product.source;
    before.weight =
        transposed(op.source_factor.values, op.source_factor.shape[0], op.source_factor.shape[1]);
    before.out = build.new_value(name + ".source_factors", in_factors);
    product.source = {before.out, Write::Add};
    build.add(std::move(before));
  } else {
    product.source_factor = op.source_factor.values;
  }
  ComponentMap after;
  after.in = {build.new_value(name + ".factors", in_factors), Write::Add};
  after.weight = op.out_factor.values;
  product.out = after.in.value;
  build.add(std::move(product));
  after.out = build.output();
  build.add(std::move(after));
}

} // namespace

void lower(const CpConvolutionStage& op, PlanBuilder& build) {
  build.need_harmonics(static_cast<std::int32_t>(op.harmonic_factor.shape[0]));
  const CouplingMethod method = method_of(op, build);
  build.note_coupling(method);
  if (method == CouplingMethod::Matrix) {
    add_matrix(op, build);
  } else {
    add_factors(op, method == CouplingMethod::Node, build);
  }
}

} // namespace eqnn::plan
