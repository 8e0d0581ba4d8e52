// SPDX-License-Identifier: BSD-3-Clause
// The Kokkos evaluator against the reference evaluator, on every execution space at every
// precision: sizes from nothing to awkward, ghosts, threads, reuse; and what physics demands of any
// network.
#include "base/error.hpp"
#include "reference/evaluate.hpp"
#include "so3/wigner_d.hpp"
#include "support/compare.hpp"
#include "support/evaluators.hpp"
#include "support/golden.hpp"
#include "support/random_model.hpp"

#include <Kokkos_Core.hpp>
#include <gtest/gtest.h>

#include <cstring>

namespace eqnn::test {
namespace {

// Sums of up to some thousand terms in another order: double has 1e-16 a term and a few layers that
// amplify it. Single and mixed: 6e-8 a term, the same amplification. Relative to the largest
// component.
double tolerance(Precision precision) { return precision == Precision::Double ? 1e-12 : 2e-4; }

double network_energy(const ModelSpec& model,
                      const EdgeList& edges,
                      const std::vector<double>& atom_energy) {
  double sum = 0.0;
  for (std::size_t i = 0; i < atom_energy.size(); ++i) {
    sum += atom_energy[i] - model.energy.shift -
           model.energy.reference[static_cast<std::size_t>(edges.species[i])];
  }
  return sum;
}

void expect_equal(const ModelSpec& model, const EdgeList& edges, const std::string& what) {
  const Outputs expected = reference::evaluate(model, edges).outputs;
  Evaluators evaluators(model);
  for (const Target& target : all_targets()) {
    const auto evaluator = evaluators.make(target);
    const Outputs found = run(*evaluator, edges);
    const double tol = tolerance(target.precision);
    EXPECT_LE(max_error(found.energy, expected.energy),
              tol * std::max(1.0, max_size(expected.energy)))
        << what << " " << target.name();
    // With many neighbors each edge's share is small, and is what is left of terms of the energy's
    // own size: hence the floor, in eV/A.
    EXPECT_LE(max_error(found.edge_gradient, expected.edge_gradient),
              tol * std::max(1e-2, max_size(expected.edge_gradient)))
        << what << " " << target.name();
  }
}

struct Size {
  int l_max, channels, heads, blocks;
};

std::ostream& operator<<(std::ostream& out, const Size& s) {
  return out << "l" << s.l_max << "_c" << s.channels << "_h" << s.heads << "_b" << s.blocks;
}

class KernelSizes : public testing::TestWithParam<Size> {
protected:
  ModelSpec model(bool envelope = false) const {
    RandomModelOptions options;
    options.l_max = GetParam().l_max;
    options.channels = GetParam().channels;
    options.heads = GetParam().heads;
    options.blocks = GetParam().blocks;
    options.envelope = envelope;
    return random_model(options);
  }
};

TEST_P(KernelSizes, EqualReference) {
  const ModelSpec spec = model();
  expect_equal(spec, edges_of(spec, random_structure(9, spec.species, 0.08, 1.0, 3)), "9 atoms");
}

INSTANTIATE_TEST_SUITE_P(All,
                         KernelSizes,
                         testing::Values(Size{0, 4, 2, 1},
                                         Size{1, 1, 1, 1},
                                         Size{1, 2, 1, 2},
                                         Size{1, 5, 5, 1},
                                         Size{1, 13, 1, 1},
                                         Size{2, 33, 3, 1},
                                         Size{1, 64, 4, 2},
                                         Size{3, 16, 2, 1},
                                         Size{4, 7, 1, 1},
                                         Size{2, 123, 3, 1}),
                         testing::PrintToStringParamName());

ModelSpec small_model(int l_max = 2, bool envelope = false) {
  RandomModelOptions options;
  options.l_max = l_max;
  options.envelope = envelope;
  return random_model(options);
}

TEST(Kernels, EqualReferenceForAnyNumberOfAtomsAndNeighbors) {
  const ModelSpec spec = small_model();
  expect_equal(spec, edges_of(spec, Structure{}), "no atom");
  expect_equal(spec, edges_of(spec, Structure{{6}, {{0.0, 0.0, 0.0}}, std::nullopt}), "one atom");
  expect_equal(spec,
               edges_of(spec, Structure{{6, 8}, {{0.0, 0.0, 0.0}, {0.0, 1.2, 0.0}}, std::nullopt}),
               "two atoms along the polar axis");
  expect_equal(
      spec,
      edges_of(
          spec,
          Structure{{6, 8, 1}, {{0.0, 0.0, 0.0}, {1.2, 0.0, 0.0}, {30.0, 0.0, 0.0}}, std::nullopt}),
      "an isolated atom");
  // more edges at a center than a tile holds; several images of each neighbor, and of the atom
  // itself
  expect_equal(
      spec, edges_of(spec, random_structure(3, spec.species, 0.5, 0.8, 5)), "134 neighbors");
  expect_equal(spec,
               edges_of(spec, random_structure(70, spec.species, 0.01, 1.0, 6)),
               "many isolated atoms");
}

TEST(Kernels, EqualReferenceWithAnEnvelope) {
  const ModelSpec spec = small_model(2, true);
  expect_equal(spec, edges_of(spec, random_structure(9, spec.species, 0.08, 1.0, 3)), "envelope");
}

TEST(Kernels, ReuseLeavesNoTrace) {
  const ModelSpec spec = small_model();
  const EdgeList large = edges_of(spec, random_structure(40, spec.species, 0.1, 1.0, 8));
  const EdgeList small = edges_of(spec, random_structure(7, spec.species, 0.05, 1.0, 9));
  Evaluators evaluators(spec);
  for (const Target& target : all_targets()) {
    const auto used = evaluators.make(target);
    (void)run(*used, large);
    const Outputs again = run(*used, small);
    const Outputs fresh = run(*evaluators.make(target), small);
    EXPECT_EQ(again.energy, fresh.energy) << target.name();
    EXPECT_EQ(again.edge_gradient, fresh.edge_gradient) << target.name();
  }
}

TEST(Kernels, ResultsDoNotDependOnTheNumberOfThreads) {
  const auto spaces = kernels::available_spaces();
  const ModelSpec spec = small_model();
  const EdgeList edges = edges_of(spec, random_structure(150, spec.species, 0.1, 1.0, 10));
  for (const auto precision : {Precision::Double, Precision::Mixed, Precision::Single}) {
    const auto serial = Evaluators(spec).make({kernels::Space::Serial, precision});
    const Outputs expected = run(*serial, edges);
    for (const auto space : spaces) {
      if (space == kernels::Space::Cuda) {
        continue; // other instructions, other rounding
      }
      const auto evaluator = Evaluators(spec).make({space, precision});
      EXPECT_TRUE(space == kernels::Space::Serial || evaluator->concurrency() > 1)
          << "this test needs OMP_NUM_THREADS above 1";
      const Outputs found = run(*evaluator, edges);
      EXPECT_EQ(found.energy, expected.energy); // every bit
      EXPECT_EQ(found.edge_gradient, expected.edge_gradient);
    }
  }
}

// ---- ghosts ----

/// Periodic images as ghosts: what LAMMPS does on one rank.
class ImageExchange final : public HaloExchange {
public:
  ImageExchange(std::int32_t n_owned, std::vector<std::int32_t> owner)
      : n_owned_(n_owned)
      , owner_(std::move(owner)) {}

  void forward(NodeRows<double> rows) override { copy(rows); }

  void forward(NodeRows<float> rows) override { copy(rows); }

  void reverse(NodeRows<double> rows) override { add(rows); }

  void reverse(NodeRows<float> rows) override { add(rows); }

private:
  template <class T> void copy(NodeRows<T> rows) {
    for (std::size_t g = 0; g < owner_.size(); ++g) {
      std::copy_n(rows.data + std::int64_t{owner_[g]} * rows.width,
                  rows.width,
                  rows.data + (n_owned_ + static_cast<std::int64_t>(g)) * rows.width);
    }
  }

  template <class T> void add(NodeRows<T> rows) {
    for (std::size_t g = 0; g < owner_.size(); ++g) {
      for (std::int32_t k = 0; k < rows.width; ++k) {
        T& ghost = rows.data[(n_owned_ + static_cast<std::int64_t>(g)) * rows.width + k];
        rows.data[std::int64_t{owner_[g]} * rows.width + k] += ghost;
        ghost = std::numeric_limits<T>::quiet_NaN(); // undefined afterwards: nobody may read it
      }
    }
  }

  std::int32_t n_owned_;
  std::vector<std::int32_t> owner_;
};

TEST(Kernels, GhostsReproduceThePeriodicEvaluation) {
  const ModelSpec spec = small_model();
  const EdgeList edges = edges_of(spec, random_structure(12, spec.species, 0.1, 1.0, 11));
  // every edge gets a ghost of its own
  EdgeList with_ghosts = edges;
  std::vector<std::int32_t> owner;
  for (std::int32_t& source : with_ghosts.source) {
    owner.push_back(source);
    with_ghosts.species.push_back(edges.species[static_cast<std::size_t>(source)]);
    source = with_ghosts.n_nodes++;
  }
  Evaluators evaluators(spec);
  for (const Target& target : all_targets()) {
    const auto evaluator = evaluators.make(target);
    const Outputs expected = run(*evaluator, edges);
    ImageExchange halo(edges.n_centers, owner);
    Outputs found;
    for (int time = 0; time < 2; ++time) { // a second time with ghost rows full of NaN
      found = run(*evaluator, with_ghosts, halo);
    }
    EXPECT_LE(max_error(found.energy, expected.energy), 0.01 * tolerance(target.precision))
        << target.name();
    EXPECT_LE(relative_error(found.edge_gradient, expected.edge_gradient),
              tolerance(target.precision))
        << target.name();
    std::vector<double> forces(3 * static_cast<std::size_t>(with_ghosts.n_nodes), 0.0);
    engine::fold_edges(with_ghosts, found.edge_gradient, forces.data(), nullptr);
    // what LAMMPS's reverse communication does with forces
    for (std::size_t g = 0; g < owner.size(); ++g) {
      for (std::size_t a = 0; a < 3; ++a) {
        forces[3 * static_cast<std::size_t>(owner[g]) + a] +=
            forces[3 * (static_cast<std::size_t>(edges.n_centers) + g) + a];
      }
    }
    forces.resize(3 * static_cast<std::size_t>(edges.n_centers));
    EXPECT_LE(relative_error(forces, properties_of(spec, edges, expected).forces),
              10.0 * tolerance(target.precision))
        << target.name();
  }
}

TEST(Kernels, ARankWithoutAtomsTakesPartInEveryExchange) {
  class Counter final : public HaloExchange {
  public:
    void forward(NodeRows<double>) override { ++n_forward; }

    void forward(NodeRows<float>) override { ++n_forward; }

    void reverse(NodeRows<double>) override { ++n_reverse; }

    void reverse(NodeRows<float>) override { ++n_reverse; }

    int n_forward = 0, n_reverse = 0;
  };

  const ModelSpec spec = small_model();
  Evaluators evaluators(spec);
  for (const Target& target : all_targets()) {
    const auto evaluator = evaluators.make(target);
    Counter none;
    Counter some;
    (void)run(*evaluator, edges_of(spec, Structure{}), none);
    (void)run(*evaluator, edges_of(spec, random_structure(5, spec.species, 0.1, 1.0, 2)), some);
    EXPECT_EQ(none.n_forward, 2);
    EXPECT_EQ(none.n_reverse, 2);
    EXPECT_EQ(some.n_forward, 2);
    EXPECT_EQ(some.n_reverse, 2);
  }
}

// ---- derivatives ----

TEST(Kernels, GradientIsTheDifferenceOfEnergies) {
  const ModelSpec spec = small_model();
  const Structure s = random_structure(8, spec.species, 0.08, 1.0, 4);
  // The largest step takes none beyond the cutoff.
  const EdgeList edges =
      eqnn::edges_of(s.numbers, s.positions, s.cell, spec.species, spec.cutoff - 0.1);
  std::mt19937 random(5);
  std::normal_distribution<double> normal;
  std::vector<double> direction(edges.vector.size());
  for (double& v : direction) {
    v = normal(random);
  }
  for (const auto space : kernels::available_spaces()) {
    const auto evaluator = Evaluators(spec).make({space, Precision::Double});
    const Outputs at = run(*evaluator, edges);
    double slope = 0.0;
    for (std::size_t k = 0; k < direction.size(); ++k) {
      slope += direction[k] * at.edge_gradient[k];
    }
    const auto energy = [&](double step) {
      EdgeList moved = edges;
      for (std::size_t k = 0; k < direction.size(); ++k) {
        moved.vector[k] += step * direction[k];
      }
      return network_energy(spec, moved, run(*evaluator, moved).energy);
    };
    // Truncation falls with step^2, rounding grows with 1/step: a right gradient shows a V, a wrong
    // one a floor.
    std::vector<double> errors;
    for (const double step : {1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8}) {
      errors.push_back(std::abs((energy(step) - energy(-step)) / (2.0 * step) - slope) /
                       std::abs(slope));
    }
    const double best = *std::min_element(errors.begin(), errors.end());
    EXPECT_LE(best, 1e-8);
    EXPECT_GE(errors.front(), 1e2 * best);
    EXPECT_GE(errors.back(), 3.0 * best);
    // the falling branch: a factor of 100 a decade where truncation rules
    EXPECT_LE(errors[1], 0.1 * errors[0]);
  }
}

// ---- symmetry ----

/// Exact coupling of all paths (even: only those with l1 + l2 + l3 even), from the goldens' dense
/// Clebsch-Gordan tensor [i, j, k].
Tensor exact_coupling(int l_max, bool even_only) {
  const Golden golden("tdn/op_cptp_l" + std::to_string(l_max) + ".safetensors");
  const Tensor& cg = golden["cg"];
  const auto d = static_cast<std::size_t>(cg.shape[0]);
  const auto l_of = [](std::size_t lm) {
    return static_cast<int>(std::sqrt(static_cast<double>(lm) + 0.5));
  };
  Tensor t{{cg.shape[0], cg.shape[0], cg.shape[0]}, std::vector<double>(d * d * d)};
  for (std::size_t i = 0; i < d; ++i) {
    for (std::size_t j = 0; j < d; ++j) {
      for (std::size_t k = 0; k < d; ++k) {
        const bool keep = !even_only || (l_of(i) + l_of(j) + l_of(k)) % 2 == 0;
        t.values[(k * d + j) * d + i] = keep ? cg.values[(i * d + j) * d + k] : 0.0;
      }
    }
  }
  return t;
}

ModelSpec exact_model(int l_max, bool even_only) {
  ModelSpec spec = small_model(l_max);
  for (auto& stage : spec.graph) {
    if (auto* matrix = std::get_if<EdgeMatrixStage>(&stage.op)) {
      matrix->coupling = exact_coupling(l_max, even_only);
    }
  }
  return spec;
}

EdgeList turned(EdgeList edges, const so3::Matrix3& matrix) {
  for (std::size_t e = 0; e < edges.source.size(); ++e) {
    const std::array<double, 3> r{
        edges.vector[3 * e], edges.vector[3 * e + 1], edges.vector[3 * e + 2]};
    for (std::size_t a = 0; a < 3; ++a) {
      edges.vector[3 * e + a] =
          matrix[3 * a] * r[0] + matrix[3 * a + 1] * r[1] + matrix[3 * a + 2] * r[2];
    }
  }
  return edges;
}

so3::Matrix3 random_rotation(std::mt19937& random) {
  std::normal_distribution<double> normal;
  std::array<double, 4> q{};
  double square = 0.0;
  for (double& v : q) {
    v = normal(random);
    square += v * v;
  }
  for (double& v : q) {
    v /= std::sqrt(square);
  }
  const auto [w, x, y, z] = q;
  return {1 - 2 * (y * y + z * z),
          2 * (x * y - z * w),
          2 * (x * z + y * w),
          2 * (x * y + z * w),
          1 - 2 * (x * x + z * z),
          2 * (y * z - x * w),
          2 * (x * z - y * w),
          2 * (y * z + x * w),
          1 - 2 * (x * x + y * y)};
}

TEST(Symmetry, ExactCouplingsMakeEnergiesInvariantAndGradientsTurn) {
  std::mt19937 random(12);
  for (const int l_max : {1, 2, 3, 4}) {
    for (const bool even_only : {false, true}) {
      const ModelSpec spec = exact_model(l_max, even_only);
      const EdgeList edges = edges_of(spec, random_structure(8, spec.species, 0.08, 1.0, 4));
      so3::Matrix3 matrix = random_rotation(random);
      if (even_only) { // without odd paths the network is a function of O(3): inversion too
        for (double& entry : matrix) {
          entry = -entry;
        }
      }
      Evaluators evaluators(spec);
      for (const Target& target : all_targets()) {
        const auto evaluator = evaluators.make(target);
        Outputs before = run(*evaluator, edges);
        const Outputs after = run(*evaluator, turned(edges, matrix));
        EXPECT_LE(max_error(after.energy, before.energy),
                  tolerance(target.precision) * max_size(before.energy))
            << l_max << target.name();
        EdgeList gradient = edges; // gradients turn as vectors do
        gradient.vector = before.edge_gradient;
        EXPECT_LE(relative_error(after.edge_gradient, turned(gradient, matrix).vector),
                  10.0 * tolerance(target.precision))
            << l_max << target.name();
      }
    }
  }
}

TEST(
    Symmetry,
    OddPathsTellMirrorImagesApart) { // the statement of parity "so3": were it wrong, users would be told nonsense
  const ModelSpec spec = exact_model(2, false);
  const EdgeList edges = edges_of(spec, random_structure(8, spec.species, 0.08, 1.0, 4));
  const Outputs one = reference::evaluate(spec, edges).outputs;
  const Outputs other =
      reference::evaluate(spec, turned(edges, {-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, -1.0}))
          .outputs;
  EXPECT_GE(max_error(one.energy, other.energy), 1e-3);
}

TEST(Symmetry, ARandomCouplingIsNotInvariant) { // so that the tests above can fail
  const ModelSpec spec = small_model(2);
  std::mt19937 random(1);
  const EdgeList edges = edges_of(spec, random_structure(8, spec.species, 0.08, 1.0, 4));
  const Outputs one = reference::evaluate(spec, edges).outputs;
  const Outputs other = reference::evaluate(spec, turned(edges, random_rotation(random))).outputs;
  EXPECT_GE(max_error(one.energy, other.energy), 1e-3);
}

TEST(Symmetry, PermutationsPermute) {
  const ModelSpec spec = small_model();
  Structure s = random_structure(10, spec.species, 0.08, 1.0, 4);
  const EdgeList edges = edges_of(spec, s);
  std::rotate(s.numbers.begin(), s.numbers.begin() + 3, s.numbers.end());
  std::rotate(s.positions.begin(), s.positions.begin() + 3, s.positions.end());
  const EdgeList rotated = edges_of(spec, s);
  Evaluators evaluators(spec);
  for (const Target& target : all_targets()) {
    const auto evaluator = evaluators.make(target);
    std::vector<double> before = run(*evaluator, edges).energy;
    std::rotate(before.begin(), before.begin() + 3, before.end());
    EXPECT_LE(max_error(run(*evaluator, rotated).energy, before),
              tolerance(target.precision) * max_size(before));
  }
}

TEST(Symmetry, ASupercellHasTwiceTheEnergy) {
  const ModelSpec spec = small_model();
  const Structure s = random_structure(6, spec.species, 0.08, 1.0, 4);
  Structure twice = s;
  for (std::size_t i = 0; i < s.numbers.size(); ++i) {
    twice.numbers.push_back(s.numbers[i]);
    twice.positions.push_back(
        {s.positions[i][0] + (*s.cell)[0], s.positions[i][1], s.positions[i][2]});
  }
  (*twice.cell)[0] *= 2.0;
  Evaluators evaluators(spec);
  for (const Target& target : all_targets()) {
    const auto evaluator = evaluators.make(target);
    const auto one = run(*evaluator, edges_of(spec, s)).energy;
    const auto two = run(*evaluator, edges_of(spec, twice)).energy;
    EXPECT_LE(max_error(std::vector<double>(two.begin(), two.begin() + 6), one),
              tolerance(target.precision) * max_size(one));
    EXPECT_LE(max_error(std::vector<double>(two.begin() + 6, two.end()), one),
              tolerance(target.precision) * max_size(one));
  }
}

// ---- what must be refused ----

std::string refusal(engine::Engine& evaluator, const EdgeList& edges) {
  try {
    (void)run(evaluator, edges);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(Refusals, AtomsThatCoincideAndCoordinatesThatAreNoNumbers) {
  const ModelSpec spec = small_model();
  Evaluators evaluators(spec);
  for (const Target& target : all_targets()) {
    const auto evaluator = evaluators.make(target);
    const std::string close = refusal(
        *evaluator,
        edges_of(spec, Structure{{1, 6}, {{0.0, 0.0, 0.0}, {1e-7, 0.0, 0.0}}, std::nullopt}));
    EXPECT_NE(close.find("is 1e-07 Angstrom from atom 0, expected at least 1e-06"),
              std::string::npos)
        << close;
    EdgeList edges = edges_of(spec, Structure{{1, 6}, {{0.0, 0.0, 0.0}, {1.0, 0.0, 0.0}}, {}});
    edges.vector.at(0) = std::numeric_limits<double>::quiet_NaN();
    const std::string lost = refusal(*evaluator, edges);
    EXPECT_NE(lost.find("is nan Angstrom from atom 0"), std::string::npos) << lost;
    EXPECT_NE(lost.find("check the structure, the box and the time step."), std::string::npos)
        << lost;
    // closer than anything in a training set: a number all the same
    EXPECT_EQ(
        refusal(
            *evaluator,
            edges_of(spec, Structure{{1, 6}, {{0.0, 0.0, 0.0}, {1e-5, 0.0, 0.0}}, std::nullopt})),
        "");
  }
}

TEST(Refusals, EnergiesAndGradientsThatOverflow) {
  ModelSpec spec = small_model();
  spec.energy.scale.assign(spec.species.size(), 1e300);
  const EdgeList edges = edges_of(spec, random_structure(5, spec.species, 0.1, 1.0, 2));
  for (auto& stage : spec.graph) {
    if (auto* readout = std::get_if<ReadoutStage>(&stage.op)) {
      for (double& v : readout->layers.back().weight.values) {
        v *= 1e10;
      }
    }
  }
  const auto evaluator = Evaluators(spec).make({kernels::Space::Serial, Precision::Double});
  const std::string message = refusal(*evaluator, edges);
  EXPECT_NE(message.find("expected a finite number"), std::string::npos) << message;
  EXPECT_NE(message.find("try precision double."), std::string::npos) << message;
}

TEST(Refusals, ReferenceTakesNoGhosts) {
  const ModelSpec spec = small_model();
  EdgeList edges = edges_of(spec, random_structure(3, spec.species, 0.1, 1.0, 2));
  ++edges.n_nodes;
  EXPECT_THROW((void)reference::evaluate(spec, edges), Error);
}

TEST(Refusals, UnknownPrecision) {
  EXPECT_THROW((void)precision_from_name("half"), Error);
  EXPECT_EQ(precision_from_name("mixed"), Precision::Mixed);
}

// ---- habits of the kernels ----

int n_allocations = 0;
std::vector<std::string> labels;

TEST(Kernels, AWarmStepAllocatesNothingAndEveryKernelIsLabeled) {
  const ModelSpec spec = small_model();
  const EdgeList edges = edges_of(spec, random_structure(30, spec.species, 0.1, 1.0, 2));
  Evaluators evaluators(spec);
  for (const Target& target : all_targets()) {
    const auto evaluator = evaluators.make(target);
    (void)run(*evaluator, edges);
    n_allocations = 0;
    labels.clear();
    Kokkos::Tools::Experimental::set_allocate_data_callback(
        [](Kokkos_Profiling_SpaceHandle, const char*, const void*, std::uint64_t) {
          ++n_allocations;
        });
    Kokkos::Tools::Experimental::set_begin_parallel_for_callback(
        [](const char* name, std::uint32_t, std::uint64_t*) { labels.emplace_back(name); });
    Kokkos::Tools::Experimental::set_begin_parallel_reduce_callback(
        [](const char* name, std::uint32_t, std::uint64_t*) { labels.emplace_back(name); });
    (void)run(*evaluator, edges);
    Kokkos::Tools::Experimental::set_allocate_data_callback(nullptr);
    Kokkos::Tools::Experimental::set_begin_parallel_for_callback(nullptr);
    Kokkos::Tools::Experimental::set_begin_parallel_reduce_callback(nullptr);
    EXPECT_EQ(n_allocations, 0) << target.name();
    EXPECT_GE(labels.size(), 20U);
    for (const std::string& label : labels) {
      EXPECT_TRUE(label.rfind("eqnn::", 0) == 0 || label.rfind("Kokkos::", 0) == 0) << label;
    }
  }
}

} // namespace
} // namespace eqnn::test
