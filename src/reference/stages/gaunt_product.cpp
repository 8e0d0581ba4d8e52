// SPDX-License-Identifier: BSD-3-Clause
#include "reference/stages/gaunt_product.hpp"

#include "reference/network.hpp"
#include "reference/sphere_grid.hpp"

namespace eqnn::reference {
namespace {

using Vector = std::array<double, 3>;

double triple(const Vector& u, const Vector& a, const Vector& b) {
  return u[0] * (a[1] * b[2] - a[2] * b[1]) + u[1] * (a[2] * b[0] - a[0] * b[2]) +
         u[2] * (a[0] * b[1] - a[1] * b[0]);
}

/// Entry of an optional [l_max + 1, C] tensor for component k.
double
scale_of(const std::optional<Tensor>& tensor, std::int32_t k, std::int32_t c, double absent) {
  return tensor ? tensor->values[at(degree_of(k) * tensor->shape[1] + c)] : absent;
}

template <class Scale> Vector gradient_at(const Grid& grid,
                                          std::size_t p,
                                          const Value& x,
                                          std::int64_t row,
                                          std::int32_t c,
                                          const Scale& scale) {
  Vector g{};
  for (std::int32_t k = 0; k < x.components; ++k) {
    for (std::size_t a = 0; a < 3; ++a) {
      g[a] += grid.s[p].gradient[at(k)][a] * x.at(row, k, c) * scale(k);
    }
  }
  return g;
}

} // namespace

Value gaunt_product(const GauntProductStage& stage,
                    std::int32_t l_max,
                    const Value& a,
                    const Value& b) {
  const Grid grid = grid_of_product(l_max, a, b);
  Value y(a.rows, sphere_components(l_max), a.channels);
  for (std::int64_t i = 0; i < a.rows; ++i) {
    for (std::int32_t c = 0; c < a.channels; ++c) {
      const auto of_a = [&](std::int32_t k) { return scale_of(stage.scale_a, k, c, 1.0); };
      const auto of_b = [&](std::int32_t k) { return scale_of(stage.scale_b, k, c, 1.0); };
      for (std::size_t p = 0; p < grid.size(); ++p) {
        const double product =
            function_at(grid, p, a, i, c, of_a) * function_at(grid, p, b, i, c, of_b);
        const double curl = triple(grid.rule.point[p],
                                   gradient_at(grid, p, a, i, c, of_a),
                                   gradient_at(grid, p, b, i, c, of_b));
        for (std::int32_t k = 0; k < y.components; ++k) {
          y.at(i, k, c) += grid.rule.weight[p] * grid.s[p].value[at(k)] *
                           (scale_of(stage.scale_out, k, c, 1.0) * product +
                            scale_of(stage.curl, k, c, 0.0) * curl);
        }
      }
    }
  }
  return y;
}

void gaunt_product_adjoint(const GauntProductStage& stage,
                           std::int32_t l_max,
                           const Factors<const Value>& factors,
                           const Value& adj_out,
                           const Factors<Value>& adjoints) {
  const auto& [a, b] = factors;
  const auto& [adj_a, adj_b] = adjoints;
  const Grid grid = grid_of_product(l_max, a, b);
  for (std::int64_t i = 0; i < a.rows; ++i) {
    for (std::int32_t c = 0; c < a.channels; ++c) {
      const auto of_a = [&](std::int32_t k) { return scale_of(stage.scale_a, k, c, 1.0); };
      const auto of_b = [&](std::int32_t k) { return scale_of(stage.scale_b, k, c, 1.0); };
      for (std::size_t p = 0; p < grid.size(); ++p) {
        double adj_product = 0.0;
        double adj_curl = 0.0;
        for (std::int32_t k = 0; k < adj_out.components; ++k) {
          const double h = grid.rule.weight[p] * grid.s[p].value[at(k)] * adj_out.at(i, k, c);
          adj_product += scale_of(stage.scale_out, k, c, 1.0) * h;
          adj_curl += scale_of(stage.curl, k, c, 0.0) * h;
        }
        const double f_a = function_at(grid, p, a, i, c, of_a);
        const double f_b = function_at(grid, p, b, i, c, of_b);
        const Vector g_a = gradient_at(grid, p, a, i, c, of_a);
        const Vector g_b = gradient_at(grid, p, b, i, c, of_b);
        const Vector& u = grid.rule.point[p];
        for (std::int32_t k = 0; k < a.components; ++k) {
          adj_a.at(i, k, c) += of_a(k) * (adj_product * f_b * grid.s[p].value[at(k)] +
                                          adj_curl * triple(u, grid.s[p].gradient[at(k)], g_b));
        }
        for (std::int32_t k = 0; k < b.components; ++k) {
          adj_b.at(i, k, c) += of_b(k) * (adj_product * f_a * grid.s[p].value[at(k)] +
                                          adj_curl * triple(u, g_a, grid.s[p].gradient[at(k)]));
        }
      }
    }
  }
}

Value forward(const GauntProductStage& op, Network& network) {
  return gaunt_product(op, network.this_stage().l_max, network.value(op.a), network.value(op.b));
}

void adjoint(const GauntProductStage& op, Network& network) {
  gaunt_product_adjoint(op,
                        network.this_stage().l_max,
                        {network.value(op.a), network.value(op.b)},
                        network.adj_out(),
                        {network.adjoint(op.a), network.adjoint(op.b)});
}

} // namespace eqnn::reference
