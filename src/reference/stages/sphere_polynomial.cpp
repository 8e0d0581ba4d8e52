// SPDX-License-Identifier: BSD-3-Clause
#include "reference/stages/sphere_polynomial.hpp"

#include "reference/network.hpp"
#include "reference/sphere_grid.hpp"

namespace eqnn::reference {
namespace {

double order_weight(const Tensor& order, std::int32_t species, std::int32_t c, std::int32_t l) {
  return order.values[at((species * order.shape[1] + c) * order.shape[2] + l)];
}

Grid grid_of(const SpherePolynomialStage& stage, std::int32_t l_max, const Value& x) {
  const std::int32_t l_in = degree_of(x.components - 1);
  return {std::max(l_in, l_max), static_cast<std::int32_t>(stage.orders.size()) * l_in + l_max};
}

} // namespace

Value sphere_polynomial(const SpherePolynomialStage& stage,
                        const EdgeList& edges,
                        std::int32_t l_max,
                        const Value& x) {
  const Grid grid = grid_of(stage, l_max, x);
  Value y(x.rows, sphere_components(l_max), x.channels);
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for (std::int32_t c = 0; c < x.channels; ++c) {
      for (std::size_t p = 0; p < grid.size(); ++p) {
        const double f = function_at(grid, p, x, i, c, no_scale);
        double power = grid.rule.weight[p];
        for (const Tensor& order : stage.orders) {
          power *= f;
          for (std::int32_t k = 0; k < y.components; ++k) {
            y.at(i, k, c) += order_weight(order, species_of(edges, i), c, degree_of(k)) * power *
                             grid.s[p].value[at(k)];
          }
        }
      }
    }
  }
  return y;
}

void sphere_polynomial_adjoint(const SpherePolynomialStage& stage,
                               const EdgeList& edges,
                               std::int32_t l_max,
                               const Value& x,
                               const Value& adj_out,
                               Value& adj_x) {
  const Grid grid = grid_of(stage, l_max, x);
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for (std::int32_t c = 0; c < x.channels; ++c) {
      for (std::size_t p = 0; p < grid.size(); ++p) {
        const double f = function_at(grid, p, x, i, c, no_scale);
        double power = grid.rule.weight[p]; // f^(nu-1)
        double adj_f = 0.0;
        for (std::size_t nu = 1; nu <= stage.orders.size(); ++nu) {
          double h = 0.0;
          for (std::int32_t k = 0; k < adj_out.components; ++k) {
            h += order_weight(stage.orders[nu - 1], species_of(edges, i), c, degree_of(k)) *
                 adj_out.at(i, k, c) * grid.s[p].value[at(k)];
          }
          adj_f += static_cast<double>(nu) * power * h;
          power *= f;
        }
        for (std::int32_t k = 0; k < x.components; ++k) {
          adj_x.at(i, k, c) += adj_f * grid.s[p].value[at(k)];
        }
      }
    }
  }
}

Value forward(const SpherePolynomialStage& op, Network& network) {
  return sphere_polynomial(
      op, network.edges(), network.this_stage().l_max, network.value(op.features));
}

void adjoint(const SpherePolynomialStage& op, Network& network) {
  sphere_polynomial_adjoint(op,
                            network.edges(),
                            network.this_stage().l_max,
                            network.value(op.features),
                            network.adj_out(),
                            network.adjoint(op.features));
}

} // namespace eqnn::reference
