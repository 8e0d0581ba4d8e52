// SPDX-License-Identifier: BSD-3-Clause
// Gaunt products and powers on the sphere of the published code, op by op: the reference evaluator, and
// every lowering of the kernels.
#include "reference/irreps_stages.hpp"
#include "so3/coupling.hpp"
#include "support/compare.hpp"
#include "support/golden.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace eqnn::test {
namespace {

// Sums of some hundred products of numbers of order one.
constexpr double kTolerance = 1e-12;

/// [rows, components] -> rows of one channel.
reference::Value value_of(const Tensor& tensor) {
  reference::Value value(tensor.shape[0], static_cast<std::int32_t>(tensor.shape[1]), 1);
  value.data = tensor.values;
  return value;
}

std::int32_t degree_of(const Tensor& tensor) {
  return static_cast<std::int32_t>(std::sqrt(static_cast<double>(tensor.shape[1]))) - 1;
}

class GauntOps : public testing::TestWithParam<int> {};

TEST_P(GauntOps, ProductsAndTheirGradientsEqualUpstreams) {
  const Golden golden("mace_gaunt/op_gaunt_l" + std::to_string(GetParam()) + ".safetensors");
  const reference::Value a = value_of(golden["x1"]);
  const reference::Value b = value_of(golden["x2"]);
  const GauntProductStage stage;
  const std::int32_t l_out = degree_of(golden["out"]);
  EXPECT_LE(relative_error(reference::gaunt_product(stage, l_out, a, b).data, golden["out"].values),
            kTolerance);
  reference::Value adj_a(a.rows, a.components, 1);
  reference::Value adj_b(b.rows, b.components, 1);
  reference::gaunt_product_adjoint(stage, l_out, a, b, value_of(golden["g"]), adj_a, adj_b);
  EXPECT_LE(relative_error(adj_a.data, golden["grad_x1"].values), kTolerance);
  EXPECT_LE(relative_error(adj_b.data, golden["grad_x2"].values), kTolerance);
}

INSTANTIATE_TEST_SUITE_P(LMax, GauntOps, testing::Values(1, 2, 3, 5));

/// The table of the sparse lowering, entry by entry, is upstream's tensor.
TEST(GauntOps, CouplingsEqualUpstreams) {
  for (const int l_max : {1, 2, 3}) {
    const Golden golden("mace_gaunt/op_gaunt_l" + std::to_string(l_max) + ".safetensors");
    const Tensor& g = golden["G"];
    std::vector<double> found(g.values.size(), 0.0);
    const auto d = static_cast<std::size_t>(g.shape[1]);
    const auto d_out = static_cast<std::size_t>(g.shape[2]);
    for (int l1 = 0; l1 <= l_max; ++l1) {
      for (int l2 = 0; l2 <= l_max; ++l2) {
        for (int l3 = std::abs(l1 - l2); (l3 + 1) * (l3 + 1) <= g.shape[2] && l3 <= l1 + l2; ++l3) {
          const auto w3j = so3::wigner_3j(l1, l2, l3);
          std::size_t at = 0;
          for (auto i = static_cast<std::size_t>(l1 * l1);
               i < static_cast<std::size_t>((l1 + 1) * (l1 + 1));
               ++i) {
            for (auto j = static_cast<std::size_t>(l2 * l2);
                 j < static_cast<std::size_t>((l2 + 1) * (l2 + 1));
                 ++j) {
              for (auto k = static_cast<std::size_t>(l3 * l3);
                   k < static_cast<std::size_t>((l3 + 1) * (l3 + 1));
                   ++k) {
                found[(i * d + j) * d_out + k] = so3::gaunt_factor(l1, l2, l3) * w3j[at++];
              }
            }
          }
        }
      }
    }
    EXPECT_LE(max_error(found, g.values), kTolerance);
  }
}

struct Power {
  int l_max, nu;
};

std::ostream& operator<<(std::ostream& out, const Power& p) {
  return out << "l" << p.l_max << "_nu" << p.nu;
}

class ManyBodyOps : public testing::TestWithParam<Power> {};

TEST_P(ManyBodyOps, PowersEqualUpstreams) {
  const auto [l_max, n_orders] = GetParam();
  const Golden golden("mace_gaunt/op_manybody_l" + std::to_string(l_max) + "_nu" +
                      std::to_string(n_orders) + ".safetensors");
  const reference::Value x = value_of(golden["x"]);
  const Tensor& powers = golden["powers"]; // [nu, rows, components]
  EdgeList nodes;
  nodes.n_centers = nodes.n_nodes = static_cast<std::int32_t>(x.rows);
  nodes.species.assign(static_cast<std::size_t>(x.rows), 0);
  nodes.begin.assign(static_cast<std::size_t>(x.rows) + 1, 0);
  const std::size_t size = x.data.size();
  for (int nu = 1; nu <= n_orders; ++nu) {
    SpherePolynomialStage stage;
    for (int order = 1; order <= nu; ++order) {
      stage.orders.push_back(Tensor{
          {1, 1, l_max + 1},
          std::vector<double>(static_cast<std::size_t>(l_max) + 1, order == nu ? 1.0 : 0.0)});
    }
    const auto begin = powers.values.begin() + static_cast<std::ptrdiff_t>(size) * (nu - 1);
    const std::vector<double> expected(begin, begin + static_cast<std::ptrdiff_t>(size));
    EXPECT_LE(relative_error(reference::sphere_polynomial(stage, nodes, l_max, x).data, expected),
              kTolerance)
        << nu;
  }
}

INSTANTIATE_TEST_SUITE_P(All,
                         ManyBodyOps,
                         testing::Values(Power{1, 3}, Power{1, 4}, Power{2, 3}, Power{3, 3}),
                         testing::PrintToStringParamName());

} // namespace
} // namespace eqnn::test
