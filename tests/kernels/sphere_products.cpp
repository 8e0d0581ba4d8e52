// SPDX-License-Identifier: BSD-3-Clause
// Gaunt products and powers on the sphere of the published code, op by op: the reference evaluator, and
// every method of the kernels.
#include "kernels/device_plan.hpp"
#include "plan/stages/sphere_polynomial.hpp"
#include "reference/network.hpp"
#include "reference/stages/gaunt_product.hpp"
#include "reference/stages/sphere_polynomial.hpp"
#include "so3/coupling.hpp"
#include "support/compare.hpp"
#include "support/golden.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <tuple>

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

/// The first components of each row.
Tensor leading(const Tensor& tensor, std::int64_t components) {
  Tensor out{{tensor.shape[0], components}, {}};
  for (std::int64_t row = 0; row < tensor.shape[0]; ++row) {
    const auto begin = tensor.values.begin() + row * tensor.shape[1];
    out.values.insert(out.values.end(), begin, begin + components);
  }
  return out;
}

/// A product with all of its degrees, or cut to those of its factors: upstream's numbers.
struct ProductGolden {
  ProductGolden(int l_max, bool is_cut)
      : golden("mace_gaunt/op_gaunt_l" + std::to_string(l_max) + ".safetensors")
      , a(golden["x1"])
      , b(golden["x2"])
      , g(golden[is_cut ? "gt" : "g"])
      , out(leading(golden["out"], g.shape[1]))
      , grad_a(golden[is_cut ? "gradtrunc_x1" : "grad_x1"])
      , grad_b(golden[is_cut ? "gradtrunc_x2" : "grad_x2"]) {}

  Golden golden;
  Tensor a, b, g, out, grad_a, grad_b;
};

using Kernels = kernels::Setting<Kokkos::Serial, double, double>;

/// The rows of a tensor [channels, components] as the channels of one node.
class Feature {
public:
  explicit Feature(const Tensor& tensor)
      : Feature(tensor, 0.0) {
    each(tensor, [](double& at, double value) { at = value; });
  }

  Feature(const Tensor& like, double value)
      : stride_(kernels::padded_channels<double>(static_cast<std::int32_t>(like.shape[0])))
      , data_("feature", static_cast<std::size_t>(like.shape[1] * stride_)) {
    Kokkos::deep_copy(data_, value);
    rows.data = data_.data();
    rows.channels = static_cast<std::int32_t>(like.shape[0]);
    rows.components = static_cast<std::int32_t>(like.shape[1]);
    rows.stride = stride_;
    rows.pitch = rows.components * stride_;
  }

  std::vector<double> like(const Tensor& tensor) const {
    Tensor out = tensor;
    each(out, [](double at, double& value) { value = at; });
    return out.values;
  }

  kernels::Rows<double> rows;

private:
  template <class T, class Body> void each(T& tensor, const Body& body) const {
    for (std::int32_t c = 0; c < rows.channels; ++c) {
      for (std::int32_t k = 0; k < rows.components; ++k) {
        body(rows.data[k * stride_ + c],
             tensor.values[static_cast<std::size_t>(c * rows.components + k)]);
      }
    }
  }

  std::int32_t stride_;
  kernels::Array<Kernels, double> data_;
};

constexpr std::array<plan::SphereMethod, 3> kMethods{
    plan::SphereMethod::Sparse, plan::SphereMethod::Grid, plan::SphereMethod::Fourier};

/// The device's tables of a stage between features like these.
kernels::DeviceStage<Kernels> on_device(const std::vector<const Tensor*>& features,
                                        plan::Stage stage) {
  plan::Plan host;
  for (const Tensor* tensor : features) {
    plan::NodeValue value;
    value.channels = static_cast<std::int32_t>(tensor->shape[0]);
    value.components = static_cast<std::int32_t>(tensor->shape[1]);
    value.blocks.push_back({value.components, value.channels, value.channels});
    host.values.push_back(value);
  }
  host.stages.push_back(std::move(stage));
  return kernels::DevicePlan<Kernels>(host).stages.at(0);
}

kernels::DeviceGauntProduct<Kernels> product_on_device(const ProductGolden& of,
                                                       plan::SphereMethod method) {
  plan::GauntProduct product =
      plan::gaunt_product(GauntProductStage{},
                          {degree_of(of.a), degree_of(of.b), degree_of(of.out)},
                          method,
                          plan::Options{}.table_rate);
  product.a.value = 0;
  product.b.value = 1;
  product.out = 2;
  return std::get<kernels::GauntProductStage<Kernels>>(
             on_device({&of.a, &of.b, &of.out}, std::move(product)))
      .product;
}

class GauntOps : public testing::TestWithParam<std::tuple<int, bool>> {
protected:
  ProductGolden golden_{std::get<0>(GetParam()), std::get<1>(GetParam())};
};

TEST_P(GauntOps, ReferenceEqualsUpstreams) {
  const reference::Value a = value_of(golden_.a);
  const reference::Value b = value_of(golden_.b);
  const GauntProductStage stage;
  const std::int32_t l_out = degree_of(golden_.out);
  EXPECT_LE(relative_error(reference::gaunt_product(stage, l_out, a, b).data, golden_.out.values),
            kTolerance);
  reference::Value adj_a(a.rows, a.components, 1);
  reference::Value adj_b(b.rows, b.components, 1);
  reference::gaunt_product_adjoint(stage, l_out, {a, b}, value_of(golden_.g), {adj_a, adj_b});
  EXPECT_LE(relative_error(adj_a.data, golden_.grad_a.values), kTolerance);
  EXPECT_LE(relative_error(adj_b.data, golden_.grad_b.values), kTolerance);
}

TEST_P(GauntOps, EveryMethodOfTheKernelsEqualsUpstreams) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Feature a(golden_.a), b(golden_.b), g(golden_.g);
  for (const auto method : kMethods) {
    SCOPED_TRACE(plan::name_of(method));
    const auto product = product_on_device(golden_, method);
    EXPECT_EQ(product.is_sparse, method == plan::SphereMethod::Sparse);
    EXPECT_EQ(product.of_a.n_rings > 0, method == plan::SphereMethod::Fourier);
    const Feature out(golden_.out, nan), adj_a(golden_.grad_a, nan), adj_b(golden_.grad_b, 0.25);
    kernels::gaunt_product<Kernels>({}, 1, product, a.rows, b.rows, out.rows);
    EXPECT_LE(relative_error(out.like(golden_.out), golden_.out.values), kTolerance);
    kernels::gaunt_product_adjoint<Kernels>({},
                                            1,
                                            product,
                                            {a.rows, g.rows, adj_a.rows, plan::Write::Overwrite},
                                            {b.rows, g.rows, adj_b.rows, plan::Write::Add});
    EXPECT_LE(relative_error(adj_a.like(golden_.grad_a), golden_.grad_a.values), kTolerance);
    std::vector<double> added = golden_.grad_b.values;
    for (double& value : added) {
      value += 0.25;
    }
    EXPECT_LE(relative_error(adj_b.like(golden_.grad_b), added), kTolerance);
  }
}

INSTANTIATE_TEST_SUITE_P(
    LMax, GauntOps, testing::Combine(testing::Range(1, 7), testing::Bool()), [](const auto& of) {
      return "l" + std::to_string(std::get<0>(of.param)) + (std::get<1>(of.param) ? "_cut" : "");
    });

/// The table of the sparse method, entry by entry, is upstream's tensor.
TEST(GauntTables, CouplingsEqualUpstreams) {
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

class ManyBodyOps : public testing::TestWithParam<Power> {
protected:
  ManyBodyOps()
      : golden_("mace_gaunt/op_manybody_l" + std::to_string(l_max) + "_nu" +
                std::to_string(n_orders) + ".safetensors") {
    nodes.n_centers = nodes.n_nodes = static_cast<std::int32_t>(x.shape[0]);
    nodes.species.assign(static_cast<std::size_t>(x.shape[0]), 0);
    nodes.begin.assign(static_cast<std::size_t>(x.shape[0]) + 1, 0);
  }

  /// f^nu alone, of so many channels.
  SpherePolynomialStage power(int nu, std::int32_t channels) const {
    const auto n = static_cast<std::size_t>(channels * (l_max + 1));
    SpherePolynomialStage stage;
    for (int order = 1; order <= nu; ++order) {
      stage.orders.push_back(
          Tensor{{1, channels, l_max + 1}, std::vector<double>(n, order == nu ? 1.0 : 0.0)});
    }
    return stage;
  }

  std::vector<double> expected(int nu) const {
    const auto& powers = golden_["powers"].values; // [nu, rows, components]
    const auto begin = powers.begin() + static_cast<std::ptrdiff_t>(x.values.size()) * (nu - 1);
    return {begin, begin + static_cast<std::ptrdiff_t>(x.values.size())};
  }

  const int l_max = GetParam().l_max, n_orders = GetParam().nu;

private:
  const Golden golden_;

protected:
  const Tensor& x = golden_["x"];
  EdgeList nodes;
};

TEST_P(ManyBodyOps, ReferenceEqualsUpstreams) {
  for (int nu = 1; nu <= n_orders; ++nu) {
    const auto found = reference::sphere_polynomial(power(nu, 1), nodes, l_max, value_of(x));
    EXPECT_LE(relative_error(found.data, expected(nu)), kTolerance) << nu;
  }
}

TEST_P(ManyBodyOps, EveryMethodOfTheKernelsEqualsUpstreams) {
  const Feature in(x);
  kernels::DeviceEdges<Kernels> node;
  node.n_centers = node.n_nodes = 1;
  node.species = kernels::Array<Kernels, std::int32_t>("species", 1); // zeros
  for (int nu = 1; nu <= n_orders; ++nu) {
    for (const auto method : kMethods) {
      auto stage = plan::sphere_polynomial(power(nu, in.rows.channels), l_max, l_max, 1, method);
      const auto device = std::visit(
          [&](auto& op) {
            op.in.value = 0;
            op.out = 1;
            return on_device({&x, &x}, op);
          },
          stage);
      const Feature out(x, std::numeric_limits<double>::quiet_NaN());
      if (method == plan::SphereMethod::Sparse) {
        const auto& of = std::get<kernels::PolynomialStage<Kernels>>(device);
        kernels::polynomial<Kernels>({}, node, of.polynomial, in.rows, out.rows);
      } else {
        const auto& of = std::get<kernels::SpherePowerStage<Kernels>>(device);
        EXPECT_EQ(of.power.of_in.n_rings > 0, method == plan::SphereMethod::Fourier);
        kernels::sphere_power<Kernels>({}, node, of.power, in.rows, out.rows);
      }
      EXPECT_LE(relative_error(out.like(x), expected(nu)), kTolerance)
          << plan::name_of(method) << " " << nu;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All,
                         ManyBodyOps,
                         testing::Values(Power{1, 3}, Power{1, 4}, Power{2, 3}, Power{3, 3}),
                         testing::PrintToStringParamName());

} // namespace
} // namespace eqnn::test
