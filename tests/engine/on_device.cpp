// SPDX-License-Identifier: BSD-3-Clause
// Neighbors on the device, and those that are brought there, against the same edges from the host: on every execution space and at every
// precision.
#include "eqnn/on_device.hpp"

#include "base/error.hpp"
#include "support/compare.hpp"
#include "support/evaluators.hpp"
#include "support/random_model.hpp"

#include <Kokkos_Core.hpp>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace eqnn::test {
namespace {

/// Memory that host and device share, or the host's where it is the device.
template <class T> using Shared = Kokkos::View<T*, Kokkos::SharedSpace>;

template <class T> Shared<T> shared(const std::vector<T>& values) {
  Shared<T> out("test", values.size());
  std::copy(values.begin(), values.end(), out.data());
  return out;
}

template <class T> std::vector<T> copied(const T* data, std::size_t n) {
  Kokkos::fence();
  std::vector<T> out(n);
  Kokkos::deep_copy(Kokkos::View<T*, Kokkos::HostSpace>(out.data(), n),
                    Kokkos::View<const T*, Kokkos::DefaultExecutionSpace::memory_space>(data, n));
  return out;
}

constexpr std::int32_t kMask = 0x1FFFFFFF;
constexpr std::int32_t kBits = 1 << 30; ///< as LAMMPS marks bonded neighbors

/// A neighbor list with these edges: each neighbor is an image atom of its own. Between them are atoms
/// beyond the cutoff and, within it, one that counts for nothing.
struct List {
  List(const EdgeList& edges, double cutoff) {
    const auto n_centers = static_cast<std::size_t>(edges.n_centers);
    std::vector<double> x(3 * n_centers);
    std::vector<std::int32_t> node(n_centers);
    for (std::size_t i = 0; i < n_centers; ++i) {
      node[i] = static_cast<std::int32_t>(i);
      x[3 * i] = 0.25 * static_cast<double>(i);
    }
    rows.resize(n_centers);
    const auto add = [&](std::size_t i, std::vector<double> r, std::int32_t of) {
      rows[i].push_back(static_cast<std::int32_t>(node.size()) | (of % 2 == 0 ? kBits : 0));
      node.push_back(of);
      for (std::size_t a = 0; a < 3; ++a) {
        x.push_back(x[3 * i + a] + r[a]);
      }
    };
    for (std::size_t i = 0; i < n_centers; ++i) {
      add(i, {1.0, 0.5, 0.25}, -1);
      for (auto e = static_cast<std::size_t>(edges.begin[i]);
           e < static_cast<std::size_t>(edges.begin[i + 1]);
           ++e) {
        add(i,
            {edges.vector[3 * e], edges.vector[3 * e + 1], edges.vector[3 * e + 2]},
            edges.source[e]);
        add(i, {cutoff, 0.0, 1.0}, edges.source[e]);
      }
    }
    std::vector<std::int32_t> counts(node.size());
    std::size_t most = 1;
    for (std::size_t i = 0; i < n_centers; ++i) {
      counts[i] = static_cast<std::int32_t>(rows[i].size());
      most = std::max(most, rows[i].size());
    }
    std::vector<std::int32_t> neighbors(most * std::max<std::size_t>(n_centers, 1));
    for (std::size_t i = 0; i < n_centers; ++i) {
      for (std::size_t k = 0; k < rows[i].size(); ++k) {
        neighbors[k * n_centers + i] = rows[i][k]; // as a GPU has it: neighbor by neighbor
      }
    }
    positions = shared(x);
    node_of_atom = shared(node);
    atom_of_node = shared(std::vector<std::int32_t>(
        node.begin(), node.begin() + static_cast<std::ptrdiff_t>(n_centers)));
    counts_ = shared(counts);
    neighbors_ = shared(neighbors);
    species = shared(edges.species);
    view.n_centers = edges.n_centers;
    view.n_nodes = edges.n_nodes;
    view.species = species.data();
    view.atom_of_node = atom_of_node.data();
    view.node_of_atom = node_of_atom.data();
    view.positions = positions.data();
    view.counts = counts_.data();
    view.neighbors = neighbors_.data();
    view.neighbor_strides = {1, edges.n_centers};
    view.neighbor_mask = kMask;
    view.cutoff = cutoff;
    for (const auto& row : rows) {
      first.push_back(row.data());
    }
    host.n_centers = edges.n_centers;
    host.n_nodes = edges.n_nodes;
    host.n_atoms = static_cast<std::int32_t>(node.size());
    host.species = species.data();
    host.atom_of_node = atom_of_node.data();
    host.node_of_atom = node_of_atom.data();
    host.positions = positions.data();
    host.counts = counts_.data();
    host.first = first.data();
    host.neighbor_mask = kMask;
    host.cutoff = cutoff;
  }

  Shared<double> positions;
  Shared<std::int32_t> node_of_atom, atom_of_node, counts_, neighbors_, species;
  NeighborsOnDevice view;
  std::vector<std::vector<std::int32_t>> rows;
  std::vector<const std::int32_t*> first;
  NeighborsOnHost host;
};

ModelSpec spec_of(EnergySemantics semantics, bool isolated_are_zero) {
  RandomModelOptions options;
  options.channels = 8;
  options.heads = 2;
  options.blocks = 2;
  ModelSpec spec = random_model(options);
  spec.energy.semantics = semantics;
  spec.energy.isolated_atoms_are_zero = isolated_are_zero;
  return spec;
}

double tolerance_of(Precision precision) {
  // The same sums in another order; vectors are differences of positions, which rounds them. In single
  // precision that flips bits of the features themselves.
  return precision == Precision::Double ? 1e-12 : 2e-5;
}

void expect_same(engine::Engine& engine, const EdgeList& edges, double cutoff, double tolerance) {
  const List list(edges, cutoff);
  NoHalo halo;
  const Wanted wanted{true, true, true};
  const Observables expected = engine.evaluate(edges, halo, wanted);
  const ResultsOnDevice& found = engine.evaluate(list.view, halo, wanted);
  const auto n_nodes = static_cast<std::size_t>(edges.n_nodes);
  const auto energies = copied(found.atom_energy, static_cast<std::size_t>(edges.n_centers));
  const auto forces = copied(found.forces, 3 * n_nodes);
  const auto virials = copied(found.atom_virial, 9 * n_nodes);
  const double size = std::max(1.0, max_size(expected.atom_energy));
  EXPECT_LE(max_error(energies, expected.atom_energy), tolerance * size);
  EXPECT_LE(std::abs(found.energy - expected.energy), tolerance * size * (1.0 + edges.n_centers));
  const double force = std::max(1.0, max_size(expected.forces));
  EXPECT_LE(max_error(forces, expected.forces), 10 * tolerance * force);
  EXPECT_LE(max_error(found.virial, expected.virial), 100 * tolerance * force);
  EXPECT_LE(max_error(virials, expected.atom_virial), 10 * tolerance * force);

  // The same kernels: the same bits.
  const double energy = found.energy;
  const auto virial = found.virial;
  const Observables& brought = engine.evaluate(list.host, halo, wanted);
  EXPECT_EQ(brought.energy, energy);
  EXPECT_EQ(brought.virial, virial);
  EXPECT_EQ(brought.atom_energy, energies);
  EXPECT_EQ(brought.forces, forces);
  EXPECT_EQ(brought.atom_virial, virials);
}

TEST(OnDevice, ObservablesAreThoseOfTheSameEdgesFromTheHost) {
  for (const auto semantics : {EnergySemantics::Extensive, EnergySemantics::MeanPerAtom}) {
    const ModelSpec spec = spec_of(semantics, true);
    Evaluators evaluators(spec);
    for (const Target& target : all_targets()) {
      SCOPED_TRACE(target.name());
      const auto engine = evaluators.make(target);
      for (const int n_atoms : {7, 0, 1, 90, 2}) { // buffers grow, and are kept
        const Structure structure =
            n_atoms == 0 ? Structure{} : random_structure(n_atoms, spec.species, 0.1, 1.0, 5);
        expect_same(
            *engine, edges_of(spec, structure), spec.cutoff, tolerance_of(target.precision));
      }
    }
  }
}

int n_allocations = 0;

TEST(OnDevice, AllMemoryIsTakenBeforeTheRanksAgree) {
  class Watch final : public NoHalo {
  public:
    void agree(const std::string& failure) override {
      NoHalo::agree(failure);
      if (!has_agreed_) {
        n_allocations = 0;
      }
      has_agreed_ = true;
    }

  private:
    bool has_agreed_ = false;
  };

  const ModelSpec spec = spec_of(EnergySemantics::Extensive, false);
  const EdgeList edges = edges_of(spec, random_structure(30, spec.species, 0.1, 1.0, 5));
  Evaluators evaluators(spec);
  for (const Target& target : all_targets()) {
    const List list(edges, spec.cutoff);
    const auto engine = evaluators.make(target);
    Watch halo;
    Kokkos::Tools::Experimental::set_allocate_data_callback(
        [](Kokkos_Profiling_SpaceHandle, const char*, const void*, std::uint64_t) {
          ++n_allocations;
        });
    (void)engine->evaluate(list.view, halo, {true, true, true});
    Kokkos::Tools::Experimental::set_allocate_data_callback(nullptr);
    EXPECT_EQ(n_allocations, 0) << target.name();
  }
}

TEST(OnDevice, ListsOfTheHostStayUntilTheyAreNew) {
  const ModelSpec spec = spec_of(EnergySemantics::Extensive, false);
  Evaluators evaluators(spec);
  const EdgeList edges = edges_of(spec, random_structure(12, spec.species, 0.05, 1.0, 5));
  for (const Target& target : all_targets()) {
    SCOPED_TRACE(target.name());
    const auto engine = evaluators.make(target);
    NoHalo halo;
    List list(edges, spec.cutoff);
    list.host.is_new = false; // the first is, whatever the caller says
    const Observables before = engine->evaluate(list.host, halo, {true, false, false});
    list.rows[0].clear();
    list.first[0] = nullptr; // nobody looks at a list that is kept
    const double shift = 1e-3;
    list.positions(0) += shift;
    const Observables moved = engine->evaluate(list.host, halo, {true, false, false});
    EXPECT_FALSE(moved.energy == before.energy);
    list.positions(0) -= shift;
    EXPECT_EQ(engine->evaluate(list.host, halo, {true, false, false}).forces, before.forces);
  }
}

TEST(OnDevice, ListsOfTheHostThatDoNotFitAreRefused) {
  const ModelSpec spec = spec_of(EnergySemantics::Extensive, false);
  Evaluators evaluators(spec);
  const EdgeList edges = edges_of(spec, random_structure(7, spec.species, 0.1, 1.0, 5));
  const auto engine = evaluators.make(all_targets().front());
  NoHalo halo;
  const auto refusal = [&](const List& list) {
    try {
      (void)engine->evaluate(list.host, halo, {true, true, true});
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  List list(edges, spec.cutoff);
  const std::string n_atoms = std::to_string(list.host.n_atoms - 1);
  const std::string end = ".\nCheck the neighbor list.";
  list.rows[2][1] = list.host.n_atoms;
  EXPECT_EQ(refusal(list),
            "a neighbor of atom 2 is " + std::to_string(list.host.n_atoms) + ", expected 0 to " +
                n_atoms + end);
  list.rows[2][1] = 0;
  list.node_of_atom(3) = 7;
  EXPECT_EQ(refusal(list), "the node of atom 3 is 7, expected 0 to 6" + end);
  list.node_of_atom(3) = -2;
  EXPECT_EQ(refusal(list), "the node of atom 3 is -2, expected 0 to 6" + end);
  list.node_of_atom(3) = 3;
  list.atom_of_node(4) = -1;
  EXPECT_EQ(refusal(list), "the atom of node 4 is -1, expected 0 to " + n_atoms + end);
  list.atom_of_node(4) = 4;
  list.species(5) = 99;
  EXPECT_EQ(refusal(list),
            "the species of node 5 is 99, expected 0 to " +
                std::to_string(spec.species.size() - 1) + end);
  list.species(5) = 0;
  list.host.n_nodes = 6;
  EXPECT_EQ(refusal(list),
            "the list has 7 centers, 6 nodes and " + std::to_string(list.host.n_atoms) +
                " atoms, expected centers <= nodes <= atoms" + end);
}

TEST(OnDevice, EnergiesRelativeToFreeAtomsLeaveThemOut) {
  const ModelSpec spec = spec_of(EnergySemantics::Extensive, false);
  Evaluators evaluators(spec);
  const auto engine = evaluators.make(all_targets().front());
  engine->leave_out_free_atoms();
  expect_same(
      *engine, edges_of(spec, random_structure(7, spec.species, 0.1, 1.0, 5)), spec.cutoff, 1e-12);
}

TEST(OnDevice, BadPositionsAndEdgesAreRefused) {
  const ModelSpec spec = spec_of(EnergySemantics::Extensive, false);
  Evaluators evaluators(spec);
  const EdgeList edges = edges_of(spec, random_structure(7, spec.species, 0.1, 1.0, 5));
  for (const Target& target : all_targets()) {
    const auto engine = evaluators.make(target);
    NoHalo halo;
    for (const double x : {0.0, std::numeric_limits<double>::quiet_NaN()}) {
      List list(edges, spec.cutoff);
      // the first neighbor that counts, onto its center; or the center, away
      const std::int64_t at = x == 0.0 ? 3 * (list.neighbors_(edges.n_centers) & kMask) : 0;
      for (int a = 0; a < 3; ++a) {
        list.positions(static_cast<std::size_t>(at + a)) = x;
      }
      try {
        engine->evaluate(list.view, halo, {});
        ADD_FAILURE() << "a bad structure was taken on " << target.name();
      } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find("two atoms coincide, or a position is not finite"),
                  std::string::npos);
      }
    }
  }
}

TEST(OnDevice, ResultsThatAreNoNumbersNameTheAtom) {
  ModelSpec spec = spec_of(EnergySemantics::Extensive, false);
  spec.energy.shift = std::numeric_limits<double>::infinity();
  Evaluators evaluators(spec);
  const List list(edges_of(spec, random_structure(7, spec.species, 0.1, 1.0, 5)), spec.cutoff);
  NoHalo halo;
  try {
    evaluators.make(all_targets().front())->evaluate(list.view, halo, {});
    ADD_FAILURE() << "infinite energies were taken";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("the energy of atom 0 is inf, expected a finite"),
              std::string::npos);
  }
}

TEST(OnDevice, DirectForcesAreRefused) {
  ModelSpec spec = spec_of(EnergySemantics::Extensive, false);
  Evaluators evaluators(spec);
  auto evaluator = kernels::make_evaluator(
      plan::compile(spec, kernels::plan_options(Precision::Double, all_targets().front().space)),
      Precision::Double,
      all_targets().front().space);
  spec.forces = ForceKind::Direct;
  engine::Engine engine(spec, std::move(evaluator));
  NoHalo halo;
  try {
    engine.evaluate(NeighborsOnDevice{}, halo, {});
    ADD_FAILURE() << "direct forces were taken";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "direct forces are computed on the host. Pass an EdgeList.");
  }
}

} // namespace
} // namespace eqnn::test
