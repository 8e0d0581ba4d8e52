// SPDX-License-Identifier: BSD-3-Clause
// Structures packed one after another: each gets, bit by bit, what it gets alone, in any company, on any
// number of threads. A GPU rounds otherwise than a processor: it has its own bits.
#include "base/error.hpp"
#include "eqnn/model.hpp"
#include "eqnn/potential.hpp"
#include "support/compare.hpp"
#include "support/evaluators.hpp"
#include "support/random_model.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <string>

namespace eqnn::test {
namespace {

constexpr Wanted kAll{true, true, true};

std::string refusal(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

/// Cells and clusters of 1 to 23 atoms, not in the order of their sizes.
std::vector<EdgeList> some_structures(const ModelSpec& spec) {
  std::vector<EdgeList> out;
  std::uint32_t seed = 11;
  for (const int n : {7, 1, 12, 3, 23, 2, 5, 16, 4, 9, 2, 11}) {
    Structure s = random_structure(n, spec.species, 0.05, 1.1, seed++);
    if (n % 3 != 0) {
      s.cell.reset();
    }
    out.push_back(edges_of(spec, s));
  }
  return out;
}

/// Copies of what an evaluation leaves.
struct Found {
  double energy = 0.0;
  std::vector<double> atom_energy, forces, atom_virial, virial;
};

bool same_bits(const std::vector<double>& a, const std::vector<double>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0;
}

bool operator==(const Found& a, const Found& b) {
  return std::memcmp(&a.energy, &b.energy, sizeof(double)) == 0 &&
         same_bits(a.atom_energy, b.atom_energy) && same_bits(a.forces, b.forces) &&
         same_bits(a.virial, b.virial) && same_bits(a.atom_virial, b.atom_virial);
}

Found alone(engine::Engine& engine, const EdgeList& edges) {
  NoHalo halo;
  const Observables& o = engine.evaluate(edges, halo, kAll);
  return {o.energy, o.atom_energy, o.forces, o.atom_virial, {o.virial.begin(), o.virial.end()}};
}

Found of_structure(const PackedObservables& o, const EdgeList& packed, std::size_t s) {
  const auto part = [&](const std::vector<double>& numbers, std::ptrdiff_t width) {
    return std::vector<double>(numbers.begin() + width * packed.structures[s],
                               numbers.begin() + width * packed.structures[s + 1]);
  };
  const auto first = o.virial.begin() + static_cast<std::ptrdiff_t>(9 * s);
  return {o.energy[s],
          part(o.atom_energy, 1),
          part(o.forces, 3),
          part(o.atom_virial, 9),
          {first, first + 9}};
}

/// The structures in passes of at most n of them, in the given order.
std::vector<Found> in_passes(engine::Engine& engine,
                             const std::vector<EdgeList>& structures,
                             std::size_t n,
                             const std::vector<std::size_t>& order) {
  std::vector<Found> found(structures.size());
  EdgeList packed;
  for (std::size_t first = 0; first < order.size(); first += n) {
    clear_structures(packed);
    const std::size_t end = std::min(first + n, order.size());
    for (std::size_t k = first; k < end; ++k) {
      append_structure(packed, structures[order[k]]);
    }
    const PackedObservables& o = engine.evaluate_each(packed, kAll);
    for (std::size_t k = first; k < end; ++k) {
      EXPECT_EQ(o.failure[k - first], "");
      found[order[k]] = of_structure(o, packed, k - first);
    }
  }
  return found;
}

void expect_the_same_in_any_company(const ModelSpec& spec, const std::string& name) {
  const std::vector<EdgeList> structures = some_structures(spec);
  std::vector<std::size_t> order(structures.size());
  std::iota(order.begin(), order.end(), 0);
  const std::vector<std::size_t> reversed(order.rbegin(), order.rend());
  Evaluators evaluators(spec);
  for (const auto precision : {Precision::Double, Precision::Mixed, Precision::Single}) {
    std::map<bool, std::vector<Found>> expected_of; // on a GPU or not: of the first such space
    for (const Target& target : all_targets()) {
      if (target.precision != precision) {
        continue;
      }
      const auto engine = evaluators.make(target);
      std::vector<Found>& expected = expected_of[target.space == kernels::Space::Cuda];
      for (std::size_t k = 0; expected.size() < structures.size(); ++k) {
        expected.push_back(alone(*engine, structures[k]));
      }
      for (const auto& [n, in] : {std::pair(std::size_t{1}, order),
                                  std::pair(std::size_t{2}, order),
                                  std::pair(std::size_t{7}, reversed),
                                  std::pair(order.size(), reversed)}) {
        const std::vector<Found> found = in_passes(*engine, structures, n, in);
        for (std::size_t k = 0; k < found.size(); ++k) {
          EXPECT_TRUE(found[k] == expected[k])
              << name << " on " << target.name() << ": structure " << k << " in passes of " << n;
        }
      }
    }
  }
}

TEST(Packed, RandomNetworksGiveEachWhatItGetsAlone) {
  for (const auto semantics : {EnergySemantics::Extensive, EnergySemantics::MeanPerAtom}) {
    RandomModelOptions options;
    options.channels = 8;
    options.heads = 2;
    ModelSpec spec = random_model(options);
    spec.energy.semantics = semantics;
    expect_the_same_in_any_company(spec, "random model");
  }
}

class PackedShipped : public testing::TestWithParam<const char*> {};

TEST_P(PackedShipped, GiveEachWhatItGetsAlone) {
  const std::string path = std::string(EQNN_SOURCE_DIR) + "/" + GetParam();
  expect_the_same_in_any_company(Model::open(path).spec(), GetParam());
}

INSTANTIATE_TEST_SUITE_P(All,
                         PackedShipped,
                         testing::Values("potentials/mace_acetylacetone.eqnn",
                                         "potentials/gaunt_acetylacetone.eqnn",
                                         "potentials/nequip_toluene.eqnn",
                                         "potentials/nequix_mp_1.eqnn",
                                         "potentials/tdn_3bpa.eqnn"),
                         [](const auto& of) {
                           const std::string path = of.param;
                           const std::size_t slash = path.find('/') + 1;
                           return path.substr(slash, path.find('.') - slash);
                         });

ModelSpec small_spec() {
  RandomModelOptions options;
  options.channels = 8;
  options.heads = 2;
  options.blocks = 1;
  return random_model(options);
}

TEST(Packed, WhatIsNotFiniteIsTheFailureOfItsStructureAlone) {
  ModelSpec spec = small_spec();
  // The third species has a reference energy that is no number.
  spec.energy.reference[2] = std::numeric_limits<double>::quiet_NaN();
  Potential potential{Model(spec)};
  EdgeList packed;
  const auto pair_of = [&](std::int32_t z) {
    return edges_of(spec, Structure{{1, z}, {{0, 0, 0}, {0, 0, 1.2}}, std::nullopt});
  };
  for (const std::int32_t z : {6, 8, 1}) {
    append_structure(packed, pair_of(z));
  }
  const PackedObservables found = potential.evaluate_each(packed, kAll);
  EXPECT_EQ(found.failure,
            (std::vector<std::string>{
                "",
                "the energy of atom 1 is nan, expected a finite number.\nThe structure is far "
                "outside the training data, or the precision is too low: try precision double.",
                ""}));
  const auto expect_none = [&](const std::vector<double>& numbers, std::size_t width, bool pairs) {
    const std::size_t n = width * (pairs ? 2 : 1);
    for (std::size_t k = 0; k < numbers.size(); ++k) {
      EXPECT_EQ(std::isnan(numbers[k]), k / n == 1) << k << " of " << width;
    }
  };
  expect_none(found.energy, 1, false);
  expect_none(found.virial, 9, false);
  expect_none(found.atom_energy, 1, true);
  expect_none(found.forces, 3, true);
  expect_none(found.atom_virial, 9, true);
  const Observables& expected = potential.evaluate(pair_of(1), kAll);
  EXPECT_EQ(found.energy[2], expected.energy);
  EXPECT_EQ(found.forces[12], expected.forces[0]);
}

TEST(Packed, NaNsOfOneStructureReachNoOther) {
  ModelSpec spec = small_spec();
  for (auto& stage : spec.graph) {
    if (auto* embedding = std::get_if<SpeciesEmbeddingStage>(&stage.op)) {
      auto& table = embedding->table.values;
      std::fill(table.begin() + 8, table.begin() + 16, std::numeric_limits<double>::quiet_NaN());
    }
  }
  Potential potential{Model(spec)};
  EdgeList packed;
  const auto pair_of = [&](std::int32_t z) {
    return edges_of(spec, Structure{{1, z}, {{0, 0, 0}, {0, 0, 1.2}}, std::nullopt});
  };
  for (const std::int32_t z : {8, 6, 8}) {
    append_structure(packed, pair_of(z));
  }
  const PackedObservables found = potential.evaluate_each(packed, kAll);
  EXPECT_EQ(found.failure[0], "");
  EXPECT_NE(found.failure[1], "");
  EXPECT_EQ(found.failure[2], "");
  const Observables& expected = potential.evaluate(pair_of(8), kAll);
  EXPECT_EQ(found.energy[0], expected.energy);
  EXPECT_EQ(found.energy[2], expected.energy);
}

TEST(Packed, NoStructuresAndNoAtomsAreNoTrouble) {
  Potential potential{Model(small_spec())};
  EdgeList packed;
  clear_structures(packed);
  EXPECT_TRUE(potential.evaluate_each(packed, kAll).energy.empty());
  append_structure(packed, EdgeList{});
  const PackedObservables& found = potential.evaluate_each(packed, kAll);
  EXPECT_EQ(found.energy, std::vector<double>{0.0});
  EXPECT_TRUE(found.forces.empty());
}

TEST(Packed, WhatIsNotWantedIsEmpty) {
  const ModelSpec spec = small_spec();
  Potential potential{Model(spec)};
  EdgeList packed;
  append_structure(packed, edges_of(spec, random_structure(4, spec.species, 0.1, 1.0, 5)));
  const PackedObservables all = potential.evaluate_each(packed, kAll);
  const PackedObservables& found = potential.evaluate_each(packed, {false, false, false});
  EXPECT_EQ(found.energy, all.energy);
  EXPECT_TRUE(found.forces.empty());
  EXPECT_TRUE(found.virial.empty());
  EXPECT_TRUE(found.atom_virial.empty());
}

// ---- what is refused ----

EdgeList two_pairs(const ModelSpec& spec) {
  EdgeList packed;
  const EdgeList one = edges_of(spec, Structure{{1, 6}, {{0, 0, 0}, {0, 0, 1.2}}, std::nullopt});
  append_structure(packed, one);
  append_structure(packed, one);
  return packed;
}

TEST(Packed, OneStructureAndSeveralAreNotTakenForEachOther) {
  const ModelSpec spec = small_spec();
  Potential potential{Model(spec)};
  EXPECT_EQ(refusal([&] { (void)potential.evaluate(two_pairs(spec)); }),
            "the edges belong to 2 packed structures, expected one structure.\nCall "
            "Potential::evaluate_each() for packed structures.");
  EdgeList one = two_pairs(spec);
  one.structures.clear();
  EXPECT_EQ(refusal([&] { (void)potential.evaluate_each(one); }),
            "EdgeList::structures is empty, expected packed structures.\nPack structures with "
            "append_structure().");
}

TEST(Packed, StructuresThatDoNotFitTheEdgesAreRefused) {
  const ModelSpec spec = small_spec();
  Potential potential{Model(spec)};
  const auto refused = [&](const std::function<void(EdgeList&)>& spoil) {
    EdgeList packed = two_pairs(spec);
    spoil(packed);
    return refusal([&] { (void)potential.evaluate_each(packed); });
  };
  EXPECT_EQ(refused([](EdgeList&) {}), "");
  EXPECT_EQ(refused([](EdgeList& e) { e.structures.back() = 3; }),
            "EdgeList::structures goes from 0 to 3 with 0 ghosts, expected from 0 to 4, the number "
            "of atoms, and no ghosts.\nPack structures with append_structure().");
  EXPECT_EQ(refused([](EdgeList& e) {
              ++e.n_nodes;
              e.species.push_back(0);
            }),
            "EdgeList::structures goes from 0 to 4 with 1 ghosts, expected from 0 to 4, the number "
            "of atoms, and no ghosts.\nPack structures with append_structure().");
  EXPECT_EQ(refused([](EdgeList& e) { e.structures = {0, 3, 2, 4}; }),
            "EdgeList::structures[2] is 2 after 3, expected no decrease.\nPack structures with "
            "append_structure().");
  EXPECT_EQ(refused([](EdgeList& e) { e.source[2] = 1; }),
            "EdgeList::source[2] is 1, expected one of the atoms 2 to 3 of its structure 1.\nPack "
            "structures with append_structure().");
}

TEST(AppendStructure, RefusesWhatIsNoWholeStructure) {
  const ModelSpec spec = small_spec();
  EdgeList unpacked = two_pairs(spec);
  unpacked.structures.clear();
  EXPECT_EQ(refusal([&] { append_structure(unpacked, {}); }),
            "cannot pack a structure after edges of 4 atoms: EdgeList::structures is empty.\nStart "
            "with an empty EdgeList, or call clear_structures().");
  EdgeList packed;
  EXPECT_EQ(refusal([&] { append_structure(packed, two_pairs(spec)); }),
            "the structure to pack has 0 ghosts and holds 2 structures, expected one without "
            "ghosts.\nGive periodic images as edges, as edges_of() does.");
  EdgeList with_ghost;
  with_ghost.n_nodes = 1;
  EXPECT_EQ(refusal([&] { append_structure(packed, with_ghost); }),
            "the structure to pack has 1 ghosts and holds 1 structures, expected one without "
            "ghosts.\nGive periodic images as edges, as edges_of() does.");
  EdgeList huge;
  huge.n_centers = huge.n_nodes = std::numeric_limits<std::int32_t>::max();
  append_structure(packed, edges_of(spec, Structure{{1}, {{0, 0, 0}}, std::nullopt}));
  EXPECT_EQ(refusal([&] { append_structure(packed, huge); }),
            "the packed structures would have 2147483648 atoms, expected fewer than "
            "2147483648.\nPack fewer structures together.");
}

} // namespace
} // namespace eqnn::test
