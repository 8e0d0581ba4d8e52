// SPDX-License-Identifier: BSD-3-Clause
#include "reference/network.hpp"
#include "reference/sphere_grid.hpp"

namespace eqnn::reference {
namespace {

/// The filter of an edge, sum_l w_l sum_m Y_lm(e) S_lm, at point p in channel c.
double filter_at(const Grid& grid,
                 std::size_t p,
                 const Value& harmonics,
                 const Value& radial,
                 std::int64_t e,
                 std::int32_t c) {
  const std::int32_t n = radial.channels / (degree_of(harmonics.components - 1) + 1);
  double h = 0.0;
  for (std::int32_t k = 0; k < harmonics.components; ++k) {
    h += grid.s[p].value[at(k)] * harmonics.at(e, k, 0) * radial.at(e, 0, degree_of(k) * n + c);
  }
  return h;
}

} // namespace

Value forward(const GauntConvolutionStage& op, Network& network) {
  const EdgeList& edges = network.edges();
  const std::int32_t l_max = network.this_stage().l_max;
  const Value& source = network.value(op.source);
  const Value& harmonics = network.value(op.harmonics);
  const Value& radial = network.value(op.radial);
  const Grid grid = grid_of_product(l_max, source, harmonics);
  Value y(edges.n_centers, sphere_components(l_max), source.channels);
  for_edges(edges, [&](std::int32_t i, std::int64_t e) {
    for (std::int32_t c = 0; c < source.channels; ++c) {
      for (std::size_t p = 0; p < grid.size(); ++p) {
        const double product = function_at(grid, p, source, edges.source[at(e)], c, no_scale) *
                               filter_at(grid, p, harmonics, radial, e, c);
        for (std::int32_t k = 0; k < y.components; ++k) {
          y.at(i, k, c) += grid.rule.weight[p] * grid.s[p].value[at(k)] * product;
        }
      }
    }
  });
  return y;
}

void adjoint(const GauntConvolutionStage& op, Network& network) {
  const EdgeList& edges = network.edges();
  const std::int32_t l_max = network.this_stage().l_max;
  const Value& source = network.value(op.source);
  const Value& harmonics = network.value(op.harmonics);
  const Value& radial = network.value(op.radial);
  const Value& adj_out = network.adj_out();
  Value& adj_source = network.adjoint(op.source);
  Value& adj_harmonics = network.adjoint(op.harmonics);
  Value& adj_radial = network.adjoint(op.radial);
  const Grid grid = grid_of_product(l_max, source, harmonics);
  const std::int32_t n = source.channels;
  for_edges(edges, [&](std::int32_t i, std::int64_t e) {
    const std::int32_t j = edges.source[at(e)];
    for (std::int32_t c = 0; c < n; ++c) {
      for (std::size_t p = 0; p < grid.size(); ++p) {
        double adj_product = 0.0;
        for (std::int32_t k = 0; k < adj_out.components; ++k) {
          adj_product += grid.rule.weight[p] * grid.s[p].value[at(k)] * adj_out.at(i, k, c);
        }
        const double f = function_at(grid, p, source, j, c, no_scale);
        const double h = filter_at(grid, p, harmonics, radial, e, c);
        for (std::int32_t k = 0; k < source.components; ++k) {
          adj_source.at(j, k, c) += adj_product * h * grid.s[p].value[at(k)];
        }
        for (std::int32_t k = 0; k < harmonics.components; ++k) {
          const double s = adj_product * f * grid.s[p].value[at(k)];
          const std::int32_t w = degree_of(k) * n + c;
          adj_harmonics.at(e, k, 0) += s * radial.at(e, 0, w);
          adj_radial.at(e, 0, w) += s * harmonics.at(e, k, 0);
        }
      }
    }
  });
}

} // namespace eqnn::reference
