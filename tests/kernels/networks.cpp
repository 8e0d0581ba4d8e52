// SPDX-License-Identifier: BSD-3-Clause
// Stages with Clebsch-Gordan paths and Gaunt products: the Kokkos evaluator against the reference
// evaluator on every execution space at every precision, and the reference against differences of
// energies, rotations, inversion and permutations.
#include "engine/fold_edges.hpp"
#include "model/cut_species.hpp"
#include "reference/evaluate.hpp"
#include "support/compare.hpp"
#include "support/evaluators.hpp"
#include "support/graph_builder.hpp"
#include "support/random_model.hpp"

#include <Kokkos_Core.hpp>
#include <gtest/gtest.h>

#include <functional>

namespace eqnn::test {
namespace {

const std::vector<std::int32_t> kSpecies{1, 6, 8};
constexpr Target kDoubleSerial{kernels::Space::Serial, Precision::Double};

/// 0e .. l_max with these channels each.
Irreps full(std::int32_t l_max, std::int32_t channels, Parity parity) {
  return uniform_irreps(l_max, channels, parity == Parity::O3);
}

struct Network {
  std::string name;
  bool equivariant = true;
  std::function<ModelSpec()> make;
};

std::ostream& operator<<(std::ostream& out, const Network& network) { return out << network.name; }

/// Embedding, a product along edges, a node operation, and again.
ModelSpec two_layers(Parity parity,
                     std::int32_t l_max,
                     std::int32_t channels,
                     const std::function<StageIndex(GraphBuilder&, StageIndex)>& node) {
  GraphBuilder build(kSpecies, 4.0, l_max, parity, 7);
  const StageIndex y = build.harmonics(l_max);
  StageIndex x = build.embedding(channels);
  std::vector<StageIndex> terms;
  for (int layer = 0; layer < 2; ++layer) {
    const StageIndex up = build.linear(x, build.irreps(x));
    const StageIndex message = build.product(up, y, l_max);
    const StageIndex mixed = build.linear(message, full(l_max, channels, parity));
    x = node(build, mixed);
    terms.push_back(build.readout(x));
  }
  return build.finish(terms);
}

const std::vector<Network>& networks() {
  static const std::vector<Network> list = [] {
    std::vector<Network> all;
    const auto plain = [](GraphBuilder&, StageIndex x) { return x; };
    for (const auto& [l_max, channels] : std::vector<std::pair<int, int>>{
             {0, 3}, {1, 1}, {1, 16}, {2, 5}, {2, 32}, {3, 7}, {3, 64}, {5, 2}}) {
      all.push_back({"products_l" + std::to_string(l_max) + "_c" + std::to_string(channels),
                     true,
                     [=, l = l_max, c = channels] { return two_layers(Parity::O3, l, c, plain); }});
    }
    all.push_back(
        {"products_all_even", true, [=] { return two_layers(Parity::So3, 2, 9, plain); }});
    all.push_back({"gated", true, [] {
                     // blocks of different widths, species-dependent self-connections, both parities
                     GraphBuilder build(kSpecies, 4.0, 2, Parity::O3, 3);
                     const StageIndex y = build.harmonics(2);
                     StageIndex x = build.embedding(6);
                     for (int layer = 0; layer < 3; ++layer) {
                       const StageIndex message = build.product(x, y, 2);
                       Irreps wide;
                       for (const IrrepsBlock& b : build.irreps(message)) {
                         wide.push_back({b.l, b.odd, b.l == 0 && !b.odd ? 6 + 11 : 5 - b.l});
                       }
                       std::int32_t n_gates = 0;
                       for (const IrrepsBlock& b : wide) {
                         n_gates += b.l > 0 ? b.channels : 0;
                       }
                       wide.front().channels = 6 + n_gates;
                       StageIndex mixed = build.linear(message, wide);
                       Irreps shared;
                       for (const IrrepsBlock& b : wide) {
                         if (find_block(build.irreps(x), b) >= 0) {
                           shared.push_back(b);
                         }
                       }
                       mixed = build.sum(mixed, build.linear(x, shared, true));
                       x = build.gate(mixed);
                     }
                     return build.finish({build.readout(x)});
                   }});
    all.push_back({"normalized", true, [] {
                     return two_layers(Parity::O3, 2, 12, [](GraphBuilder& build, StageIndex x) {
                       return build.rms_norm(x);
                     });
                   }});
    all.push_back({"functions_of_norms", true, [] {
                     return two_layers(Parity::O3, 2, 12, [](GraphBuilder& build, StageIndex x) {
                       return build.norm_activation(x, Activation::Silu);
                     });
                   }});
    all.push_back({"soft_norms", true, [] {
                     return two_layers(Parity::O3, 2, 7, [](GraphBuilder& build, StageIndex x) {
                       return build.soft_normalization(x, 0.7);
                     });
                   }});
    all.push_back({"contraction", false, [] {
                     return two_layers(Parity::O3, 2, 10, [](GraphBuilder& build, StageIndex x) {
                       return build.contraction(x, full(2, 10, Parity::O3), 3, 40);
                     });
                   }});
    for (const auto& [l_max, l_out, channels] :
         std::vector<std::array<int, 3>>{{2, 2, 8}, {3, 1, 33}, {1, 0, 4}}) {
      all.push_back({"sphere_polynomial_l" + std::to_string(l_max),
                     true,
                     [l = l_max, o = l_out, c = channels] {
                       return two_layers(Parity::O3, l, c, [o](GraphBuilder& build, StageIndex x) {
                         return build.polynomial(x, o, 3);
                       });
                     }});
    }
    all.push_back({"gaunt_product", true, [] {
                     return two_layers(Parity::O3, 3, 6, [](GraphBuilder& build, StageIndex x) {
                       const StageIndex z = build.linear(x, full(3, 6, Parity::O3), true);
                       return build.gaunt_product(x, z, 2, false, false);
                     });
                   }});
    all.push_back({"gaunt_product_with_curl", true, [] {
                     return two_layers(Parity::So3, 2, 17, [](GraphBuilder& build, StageIndex x) {
                       const StageIndex z = build.linear(x, full(2, 17, Parity::So3), true);
                       return build.gaunt_product(x, z, 2, true, true);
                     });
                   }});
    for (const int l : {1, 3}) {
      all.push_back({"gaunt_convolution_l" + std::to_string(l), true, [l] {
                       GraphBuilder build(kSpecies, 4.0, l, Parity::O3, 11);
                       const StageIndex y = build.harmonics(l);
                       StageIndex x = build.embedding(5);
                       for (int layer = 0; layer < 2; ++layer) {
                         x = build.linear(build.gaunt_convolution(x, y, l), full(l, 5, Parity::O3));
                       }
                       return build.finish({build.readout(x)});
                     }});
    }
    // Blocks of as many channels, from paths whose widths come in another order: rows of both must be
    // laid out alike for what reads all components.
    all.push_back({"uniform_of_unequal_paths", true, [] {
                     GraphBuilder build(kSpecies, 4.0, 2, Parity::So3, 19);
                     const StageIndex y = build.harmonics(2);
                     const StageIndex message = build.product(build.embedding(4), y, 2);
                     const StageIndex x =
                         build.linear(message, {{0, false, 4}, {1, false, 1}, {2, false, 1}});
                     const StageIndex z = build.product_of(
                         x, y, {{0, 0, 0}, {1, 1, 0}, {2, 2, 0}, {1, 0, 1}, {2, 1, 1}, {0, 1, 1}});
                     const StageIndex p = build.polynomial(z, 1, 2);
                     return build.finish(
                         {build.readout(build.gaunt_product(z, p, 1, false, false))});
                   }});
    all.push_back({"networks_on_edges", true, [] {
                     GraphBuilder build(kSpecies, 4.0, 2, Parity::O3, 23);
                     const StageIndex y = build.harmonics(2);
                     StageIndex x = build.product(build.embedding(4), y, 2);
                     for (const double envelope : {0.0, 5.0}) {
                       Irreps sent = full(2, 5, Parity::O3);
                       sent.front().channels += 9;
                       const StageIndex source = build.linear(x, sent);
                       const StageIndex center = build.linear(x, {{0, false, 9}});
                       x = build.network_product(source,
                                                 center,
                                                 y,
                                                 {{0, 0, 0},
                                                  {1, 1, 0},
                                                  {2, 2, 0},
                                                  {0, 1, 1},
                                                  {1, 0, 1},
                                                  {2, 1, 1},
                                                  {0, 2, 2},
                                                  {2, 0, 2}},
                                                 {9, 12},
                                                 Activation::Silu,
                                                 envelope);
                     }
                     return build.finish({build.readout(x)});
                   }});
    all.push_back({"xplor_and_repulsion", true, [] {
                     GraphBuilder build(kSpecies, 4.0, 1, Parity::O3, 13);
                     const StageIndex y = build.harmonics(1);
                     const StageIndex x =
                         build.product(build.embedding(4), y, 1, EnvelopeKind::Xplor);
                     return build.finish({build.readout(x), build.zbl()});
                   }});
    return all;
  }();
  return list;
}

double tolerance(Precision precision) { return precision == Precision::Double ? 2e-12 : 2e-4; }

class NetworkTest : public testing::TestWithParam<Network> {};

/// Of those networks the ones that are equivariant: random couplings of a contraction are not.
class EquivariantNetworkTest : public testing::TestWithParam<Network> {};

std::vector<Network> equivariant_networks() {
  std::vector<Network> list;
  for (const Network& network : networks()) {
    if (network.equivariant) {
      list.push_back(network);
    }
  }
  return list;
}

struct Methods {
  std::optional<plan::SphereMethod> products, convolutions;
};

void expect_equal(const ModelSpec& model,
                  const EdgeList& edges,
                  const std::string& what,
                  const Methods& methods = {}) {
  const Outputs expected = reference::evaluate(model, edges).outputs;
  for (const Target& target : all_targets()) {
    plan::Options options = kernels::plan_options(target.precision, target.space);
    options.products = methods.products;
    options.convolutions = methods.convolutions;
    const auto evaluator = make_engine(model, plan::compile(model, options), target);
    for (int time = 0; time < 2; ++time) { // a second time with used buffers
      const Outputs found = run(*evaluator, edges);
      const double tol = tolerance(target.precision);
      EXPECT_LE(max_error(found.energy, expected.energy),
                tol * std::max(1.0, max_size(expected.energy)))
          << what << " " << target.name();
      EXPECT_LE(max_error(found.edge_gradient, expected.edge_gradient),
                tol * std::max(1e-2, max_size(expected.edge_gradient)))
          << what << " " << target.name();
    }
  }
}

TEST_P(NetworkTest, EqualReference) {
  const ModelSpec model = GetParam().make();
  expect_equal(model, edges_of(model, random_structure(9, kSpecies, 0.08, 0.9, 3)), "9 atoms");
  expect_equal(model, edges_of(model, Structure{}), "no atom");
  expect_equal(model, edges_of(model, Structure{{6}, {{0.0, 0.0, 0.0}}, std::nullopt}), "one atom");
  expect_equal(model,
               edges_of(model, Structure{{6, 8}, {{0.0, 0.0, 0.0}, {0.0, 1.2, 0.0}}, std::nullopt}),
               "two atoms along the polar axis");
}

TEST_P(NetworkTest, CutToSomeElementsGivesTheSameBits) {
  const ModelSpec model = GetParam().make();
  const std::vector<std::int32_t> kept{6, 8}; // not the first
  const ModelSpec cut = cut_species(model, kept);
  const Structure structure = random_structure(9, kept, 0.08, 0.9, 3);
  for (const Target& target : all_targets()) {
    const Outputs expected = run(*Evaluators(model).make(target), edges_of(model, structure));
    const Outputs found = run(*Evaluators(cut).make(target), edges_of(cut, structure));
    EXPECT_EQ(found.energy, expected.energy) << target.name();
    EXPECT_EQ(found.edge_gradient, expected.edge_gradient) << target.name();
  }
}

TEST_P(NetworkTest, GradientIsTheDifferenceOfEnergies) {
  const ModelSpec model = GetParam().make();
  const EdgeList edges = edges_of(model, random_structure(5, kSpecies, 0.08, 0.9, 4));
  std::mt19937 random(5);
  std::normal_distribution<double> normal;
  std::vector<double> direction(edges.vector.size());
  for (double& v : direction) {
    v = normal(random);
  }
  const Outputs at = reference::evaluate(model, edges).outputs;
  double slope = 0.0;
  for (std::size_t k = 0; k < direction.size(); ++k) {
    slope += direction[k] * at.edge_gradient[k];
  }
  const auto energy = [&](double step) {
    EdgeList moved = edges;
    for (std::size_t k = 0; k < direction.size(); ++k) {
      moved.vector[k] += step * direction[k];
    }
    double sum = 0.0;
    const auto energies = reference::evaluate(model, moved).outputs.energy;
    for (std::size_t i = 0; i < energies.size(); ++i) {
      sum += energies[i] - at.energy[i];
    }
    return sum;
  };
  std::vector<double> errors;
  for (const double step : {1e-2, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 1e-6, 1e-8}) {
    errors.push_back(std::abs((energy(step) - energy(-step)) / (2.0 * step) - slope) /
                     std::max(1e-3, std::abs(slope)));
  }
  const double best = *std::min_element(errors.begin(), errors.end());
  EXPECT_LE(best, 1e-7);
  EXPECT_GE(errors.front(), 1e2 * best); // truncation rules large steps
  EXPECT_GE(errors.back(), best);        // rounding small ones
}

TEST_P(EquivariantNetworkTest, EnergiesDoNotChangeUnderRotationInversionAndPermutation) {
  const ModelSpec model = GetParam().make();
  const Structure structure = random_structure(7, kSpecies, 0.08, 0.9, 6);
  const auto evaluator = Evaluators(model).make({kernels::Space::Serial, Precision::Double});
  const EdgeList edges = edges_of(model, structure);
  const std::vector<double> expected = run(*evaluator, edges).energy;
  const auto with_vectors = [&](const std::array<double, 9>& matrix) {
    EdgeList turned = edges;
    for (std::size_t e = 0; e < edges.source.size(); ++e) {
      for (std::size_t a = 0; a < 3; ++a) {
        turned.vector[3 * e + a] = 0.0;
        for (std::size_t b = 0; b < 3; ++b) {
          turned.vector[3 * e + a] += matrix[3 * a + b] * edges.vector[3 * e + b];
        }
      }
    }
    return run(*evaluator, turned).energy;
  };
  const double c = std::cos(1.1);
  const double s = std::sin(1.1);
  const double scale = std::max(1.0, max_size(expected));
  EXPECT_LE(max_error(with_vectors({c, -s, 0, s, c, 0, 0, 0, 1}), expected), 1e-12 * scale);
  EXPECT_LE(max_error(with_vectors({0, 0, 1, c, -s, 0, s, c, 0}), expected), 1e-12 * scale);
  if (model.parity == Parity::O3) {
    EXPECT_LE(max_error(with_vectors({-1, 0, 0, 0, -1, 0, 0, 0, -1}), expected), 1e-12 * scale);
  }
  Structure permuted = structure;
  std::reverse(permuted.numbers.begin(), permuted.numbers.end());
  std::reverse(permuted.positions.begin(), permuted.positions.end());
  std::vector<double> back = run(*evaluator, edges_of(model, permuted)).energy;
  std::reverse(back.begin(), back.end());
  EXPECT_LE(max_error(back, expected), 1e-12 * scale);
}

/// Every site of a perfect crystal is an inversion center: features of l = 1 vanish there, and norms
/// divide by what is left.
TEST_P(EquivariantNetworkTest, ForcesVanishInPerfectCrystals) {
  const ModelSpec model = GetParam().make();
  const double a = 3.6;
  const std::array<double, 9> cube{a, 0.0, 0.0, 0.0, a, 0.0, 0.0, 0.0, a};
  const double h = 0.5 * a;
  const std::vector<Structure> crystals{
      {{6, 6, 6, 6}, {{0, 0, 0}, {0, h, h}, {h, 0, h}, {h, h, 0}}, cube}, // fcc
      {{8, 8}, {{0, 0, 0}, {h, h, h}}, cube}};                            // bcc
  for (const Structure& crystal : crystals) {
    const EdgeList edges = edges_of(model, crystal);
    for (const auto precision : {Precision::Double, Precision::Single}) {
      const Outputs found =
          run(*Evaluators(model).make({kernels::Space::Serial, precision}), edges);
      std::vector<double> forces(3 * crystal.numbers.size(), 0.0);
      engine::fold_edges(edges, found.edge_gradient, forces.data(), nullptr);
      const double scale = std::max(1.0, max_size(found.edge_gradient));
      EXPECT_LE(max_size(forces), (precision == Precision::Double ? 1e-12 : 1e-4) * scale);
      EXPECT_LE(
          max_error(found.energy, std::vector<double>(found.energy.size(), found.energy.front())),
          (precision == Precision::Double ? 1e-12 : 1e-4) * max_size(found.energy));
    }
  }
}

TEST_P(NetworkTest, ResultsDoNotDependOnTheNumberOfThreads) {
  const ModelSpec model = GetParam().make();
  const EdgeList edges = edges_of(model, random_structure(60, kSpecies, 0.06, 0.9, 10));
  for (const auto precision : {Precision::Double, Precision::Single}) {
    const Outputs expected =
        run(*Evaluators(model).make({kernels::Space::Serial, precision}), edges);
    for (const auto space : kernels::available_spaces()) {
      if (space == kernels::Space::OpenMP) {
        const Outputs found = run(*Evaluators(model).make({space, precision}), edges);
        EXPECT_EQ(found.energy, expected.energy); // every bit
        EXPECT_EQ(found.edge_gradient, expected.edge_gradient);
      }
    }
  }
}

TEST_P(NetworkTest, AWarmStepAllocatesNothing) {
  static int n_allocations = 0;
  const ModelSpec model = GetParam().make();
  const EdgeList edges = edges_of(model, random_structure(20, kSpecies, 0.08, 0.9, 2));
  for (const Target& target : all_targets()) {
    const auto evaluator = Evaluators(model).make(target);
    (void)run(*evaluator, edges);
    n_allocations = 0;
    Kokkos::Tools::Experimental::set_allocate_data_callback(
        [](Kokkos_Profiling_SpaceHandle, const char*, const void*, std::uint64_t) {
          ++n_allocations;
        });
    (void)run(*evaluator, edges);
    Kokkos::Tools::Experimental::set_allocate_data_callback(nullptr);
    EXPECT_EQ(n_allocations, 0) << target.name();
  }
}

INSTANTIATE_TEST_SUITE_P(All,
                         EquivariantNetworkTest,
                         testing::ValuesIn(equivariant_networks()),
                         [](const auto& of) { return of.param.name; });

INSTANTIATE_TEST_SUITE_P(All, NetworkTest, testing::ValuesIn(networks()), [](const auto& of) {
  return of.param.name;
});

constexpr std::array<plan::SphereMethod, 3> kMethods{
    plan::SphereMethod::Sparse, plan::SphereMethod::Grid, plan::SphereMethod::Fourier};

TEST(SphereProducts, EveryMethodEqualsTheReference) {
  for (const auto parity : {Parity::O3, Parity::So3}) {
    for (const auto& [l_in, l_out] : std::vector<std::pair<int, int>>{{2, 2}, {1, 0}, {3, 1}}) {
      const ModelSpec model = two_layers(
          parity, 3, 5, [parity, l = l_in, o = l_out](GraphBuilder& build, StageIndex x) {
            const StageIndex a = build.linear(x, full(l, 5, parity));
            const StageIndex b = build.linear(x, full(std::max(l - 1, 1), 5, parity), true);
            return build.gaunt_product(a, b, o, true, parity == Parity::So3);
          });
      const EdgeList edges = edges_of(model, random_structure(6, kSpecies, 0.08, 0.9, 3));
      for (const auto method : kMethods) {
        expect_equal(model, edges, plan::name_of(method), {method, std::nullopt});
      }
    }
  }
}

TEST(SpherePolynomials, EveryMethodEqualsTheReference) {
  for (const auto& [l_in, l_out, orders] :
       std::vector<std::array<int, 3>>{{2, 2, 3}, {3, 0, 2}, {1, 3, 4}, {0, 0, 2}}) {
    const ModelSpec model = two_layers(
        Parity::O3, 3, 6, [l = l_in, o = l_out, n = orders](GraphBuilder& build, StageIndex x) {
          return build.polynomial(build.linear(x, full(l, 6, Parity::O3)), o, n);
        });
    const EdgeList edges = edges_of(model, random_structure(6, kSpecies, 0.08, 0.9, 3));
    for (const auto method : kMethods) {
      expect_equal(model, edges, plan::name_of(method), {method, std::nullopt});
    }
  }
}

TEST(SphereProducts, ThePlanTakesTheFasterMethodOfThePrecision) {
  const ModelSpec model = two_layers(Parity::O3, 5, 4, [](GraphBuilder& build, StageIndex x) {
    const StageIndex z = build.linear(x, full(5, 4, Parity::O3), true);
    return build.gaunt_product(x, z, 5, false, false);
  });
  const auto taken = [&](Precision precision) {
    return plan::compile(model, kernels::plan_options(precision, kernels::Space::Serial)).products;
  };
  EXPECT_EQ(taken(Precision::Single), std::vector(2, plan::SphereMethod::Sparse));
  EXPECT_EQ(taken(Precision::Double), std::vector(2, plan::SphereMethod::Fourier));
}

/// Degrees too high for the reference's loops: the methods against each other.
TEST(SphereProducts, MethodsAgreeAtHighDegrees) {
  for (const int l : {6, 10}) {
    for (const bool curl : {false, true}) {
      GraphBuilder build(kSpecies, 4.0, l, curl ? Parity::So3 : Parity::O3, 17);
      const StageIndex y = build.harmonics(l);
      const StageIndex message = build.product(build.embedding(3), y, l);
      const StageIndex z = build.linear(message, full(l, 3, curl ? Parity::So3 : Parity::O3), true);
      const ModelSpec model =
          build.finish({build.readout(build.gaunt_product(message, z, l, false, curl))});
      const EdgeList edges = edges_of(model, random_structure(4, kSpecies, 0.08, 0.9, 3));
      std::vector<Outputs> found;
      for (const auto method : kMethods) {
        plan::Options options = kernels::plan_options(Precision::Double, kernels::Space::Serial);
        options.products = method;
        found.push_back(
            run(*make_engine(model, plan::compile(model, options), kDoubleSerial), edges));
      }
      for (const std::size_t k : {std::size_t{1}, std::size_t{2}}) {
        EXPECT_LE(relative_error(found[k].energy, found[0].energy), 1e-12) << l;
        EXPECT_LE(relative_error(found[k].edge_gradient, found[0].edge_gradient), 1e-12) << l;
      }
    }
  }
}

// ---- convolutions ----

constexpr std::array<plan::SphereMethod, 2> kConvolutionMethods{plan::SphereMethod::Sparse,
                                                                plan::SphereMethod::Aligned};

/// Two convolutions, of scalars and of what they give.
ModelSpec
convolutions(int l_source, int l_filter, int l_out, int channels, Parity parity = Parity::O3) {
  GraphBuilder build(kSpecies, 4.0, std::max(l_filter, 1), parity, 23);
  const StageIndex y = build.harmonics(l_filter);
  StageIndex x = build.gaunt_convolution(build.embedding(channels), y, l_source);
  x = build.linear(x, full(l_source, channels, parity));
  return build.finish({build.readout(build.gaunt_convolution(x, y, l_out))});
}

TEST(GauntConvolutions, EveryMethodEqualsTheReference) {
  const Structure along_axes{{6, 8, 6, 1},
                             {{0.0, 0.0, 0.0}, {0.0, 1.2, 0.0}, {1.1, 0.0, 0.0}, {0.0, 0.0, -1.3}},
                             std::nullopt};
  for (const auto& [l_source, l_filter, l_out, channels] :
       std::vector<std::array<int, 4>>{{2, 3, 2, 5}, {3, 2, 1, 33}, {1, 3, 4, 16}, {2, 2, 0, 1}}) {
    const ModelSpec model = convolutions(l_source, l_filter, l_out, channels);
    const EdgeList edges = edges_of(model, random_structure(6, kSpecies, 0.08, 0.9, 3));
    for (const auto method : kConvolutionMethods) {
      const std::string what = plan::name_of(method);
      expect_equal(model, edges, what, {std::nullopt, method});
      expect_equal(
          model, edges_of(model, along_axes), what + " along axes", {std::nullopt, method});
    }
  }
}

TEST(GauntConvolutions, ThePlanTakesTheFasterMethod) {
  for (const auto& [l, expected] :
       std::vector<std::pair<int, plan::SphereMethod>>{{0, plan::SphereMethod::Sparse},
                                                       {1, plan::SphereMethod::Sparse},
                                                       {4, plan::SphereMethod::Aligned}}) {
    const plan::Plan plan = plan::compile(convolutions(l, l, l, 4), {});
    EXPECT_EQ(plan.convolutions.back(), expected) << l;
  }
}

/// Edges about the pole of the frame, and upon it: both methods give the same gradients.
TEST(GauntConvolutions, MethodsAgreeNearThePoleAndAtHighDegrees) {
  for (const int l : {2, 6, 10}) {
    const ModelSpec model = convolutions(l, l, l, 3);
    for (const double off : {0.3, 1e-4, 1e-9, 1e-160, 0.0}) {
      for (const double up : {1.2, -1.2}) {
        const EdgeList edges = edges_of(
            model, {{6, 8, 1}, {{0, 0, 0}, {off, up, -0.5 * off}, {0.7, 0.3, 0.9}}, std::nullopt});
        std::vector<Outputs> found;
        for (const auto method : kConvolutionMethods) {
          plan::Options options = kernels::plan_options(Precision::Double, kernels::Space::Serial);
          options.convolutions = method;
          const plan::Plan plan = plan::compile(model, options);
          EXPECT_EQ(plan.convolutions.back(), method);
          found.push_back(run(*make_engine(model, plan, kDoubleSerial), edges));
        }
        EXPECT_LE(relative_error(found[1].energy, found[0].energy), 1e-12) << l << " " << off;
        EXPECT_LE(relative_error(found[1].edge_gradient, found[0].edge_gradient), 1e-12)
            << l << " " << off;
      }
    }
  }
}

} // namespace
} // namespace eqnn::test
