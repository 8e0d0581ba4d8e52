// SPDX-License-Identifier: BSD-3-Clause
#include "reference/edges.hpp"
#include "reference/network.hpp"

namespace eqnn::reference {
namespace {

/// sum_k factor[k, r] x[row, k, c]
double
contracted(const Tensor& factor, std::int64_t r, const Value& x, std::int64_t row, std::int32_t c) {
  double sum = 0.0;
  for (std::int32_t k = 0; k < x.components; ++k) {
    sum += factor.values[at(k * factor.shape[1] + r)] * x.at(row, k, c);
  }
  return sum;
}

/// x[row, k, c] += factor[k, r] value
void spread(const Tensor& factor,
            std::int64_t r,
            double value,
            Value& x,
            std::int64_t row,
            std::int32_t c) {
  for (std::int32_t k = 0; k < x.components; ++k) {
    x.at(row, k, c) += factor.values[at(k * factor.shape[1] + r)] * value;
  }
}

} // namespace

Value forward(const CpConvolutionStage& op, Network& network) {
  const EdgeList& edges = network.edges();
  const Value& source = network.value(op.source);
  const Value& harmonics = network.value(op.harmonics);
  const Value& radial = network.value(op.radial);
  Value y(edges.n_centers, sphere_components(network.this_stage().l_max), source.channels);
  for_edges(edges, [&](std::int32_t i, std::int64_t e) {
    for (std::int64_t r = 0; r < op.out_factor.shape[1]; ++r) {
      const double b = contracted(op.harmonic_factor, r, harmonics, e, 0);
      for (std::int32_t c = 0; c < source.channels; ++c) {
        const double a = contracted(op.source_factor, r, source, edges.source[at(e)], c);
        spread(op.out_factor, r, a * b * radial.at(e, 0, c), y, i, c);
      }
    }
  });
  return y;
}

void adjoint(const CpConvolutionStage& op, Network& network) {
  const EdgeList& edges = network.edges();
  const Value& source = network.value(op.source);
  const Value& harmonics = network.value(op.harmonics);
  const Value& radial = network.value(op.radial);
  const Value& adj_out = network.adj_out();
  Value& adj_source = network.adjoint(op.source);
  Value& adj_harmonics = network.adjoint(op.harmonics);
  Value& adj_radial = network.adjoint(op.radial);
  for_edges(edges, [&](std::int32_t i, std::int64_t e) {
    const std::int32_t j = edges.source[at(e)];
    for (std::int64_t r = 0; r < op.out_factor.shape[1]; ++r) {
      const double b = contracted(op.harmonic_factor, r, harmonics, e, 0);
      for (std::int32_t c = 0; c < source.channels; ++c) {
        const double a = contracted(op.source_factor, r, source, j, c);
        const double w = radial.at(e, 0, c);
        const double adj = contracted(op.out_factor, r, adj_out, i, c);
        spread(op.source_factor, r, adj * b * w, adj_source, j, c);
        spread(op.harmonic_factor, r, adj * a * w, adj_harmonics, e, 0);
        adj_radial.at(e, 0, c) += adj * a * b;
      }
    }
  });
}

} // namespace eqnn::reference
