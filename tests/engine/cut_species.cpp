// SPDX-License-Identifier: BSD-3-Clause
// A model cut to some of its elements: every bit as from the whole one, in the memory of a model that
// never had the others.
#include "model/cut_species.hpp"

#include "engine/observe.hpp"
#include "eqnn/eqnn.hpp"
#include "plan/table_cache.hpp"
#include "reference/evaluate.hpp"
#include "support/compare.hpp"
#include "support/graph_builder.hpp"
#include "support/random_model.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

namespace eqnn::test {
namespace {

using OfSpecies = GraphBuilder::OfSpecies;

/// All that has rows of species: an embedding, linear maps, contractions, powers on the sphere, repulsion.
ModelSpec network(const std::vector<std::int32_t>& species, OfSpecies of_species) {
  GraphBuilder build(species, 4.0, 2, Parity::O3, 29);
  build.of_species = of_species;
  const Irreps blocks = uniform_irreps(2, 6, true);
  const StageIndex y = build.harmonics(2);
  StageIndex x = build.linear(build.product(build.embedding(6), y, 2), blocks, true);
  x = build.contraction(x, blocks, 3, 9);
  const StageIndex first = build.readout(x);
  x = build.linear(build.product(x, y, 2), blocks);
  x = build.polynomial(x, 1, 2);
  return build.finish({first, build.readout(x), build.zbl()});
}

/// With other cutoffs of each pair: 2.4 and 3.2 need fifths of 4, which H and O alone do not.
ModelSpec network_of_pair_cutoffs() {
  ModelSpec model = network({1, 6, 8}, OfSpecies::Nothing);
  for (eqnn::Stage& stage : model.graph) {
    if (auto* radial = std::get_if<RadialStage>(&stage.op)) {
      const Tensor cutoff{{3, 3}, {2.0, 2.4, 4.0, 2.4, 4.0, 3.2, 4.0, 3.2, 3.0}};
      radial->transform = PairCutoffs{cutoff, parts_to_all(cutoff.values, 4.0)};
    }
  }
  return model;
}

std::vector<std::pair<std::string, ModelSpec>> networks() {
  return {{"one table", network({1, 6, 8}, OfSpecies::Nothing)},
          {"Agnesi", network({1, 6, 8}, OfSpecies::Agnesi)},
          {"soft", network({1, 6, 8}, OfSpecies::Soft)},
          {"terms", network({1, 6, 8}, OfSpecies::Terms)},
          {"cutoffs of pairs", network_of_pair_cutoffs()}};
}

void expect_same_bits(const Observables& found, const Observables& expected) {
  EXPECT_EQ(found.energy, expected.energy);
  EXPECT_EQ(found.atom_energy, expected.atom_energy);
  EXPECT_EQ(found.forces, expected.forces);
  EXPECT_EQ(found.virial, expected.virial);
  EXPECT_EQ(found.atom_virial, expected.atom_virial);
}

TEST(CutSpecies, EveryBitIsThatOfTheWholeModel) {
  for (const auto& [name, spec] : networks()) {
    const Model whole{spec};
    for (const auto& [kept, sorted] :
         std::vector<std::pair<std::vector<std::int32_t>, std::vector<std::int32_t>>>{
             {{8, 1}, {1, 8}}, {{6}, {6}}, {{8, 6, 8, 6}, {6, 8}}, {{6, 8, 1}, {1, 6, 8}}}) {
      const Model cut = whole.with_species(kept);
      EXPECT_EQ(cut.species(), sorted);
      const Structure structure = random_structure(12, sorted, 0.08, 0.9, 3);
      const EdgeList edges = edges_of(spec, structure);
      const EdgeList edges_of_cut = edges_of(cut.spec(), structure);
      EXPECT_EQ(reference::evaluate(cut.spec(), edges_of_cut).outputs.energy,
                reference::evaluate(spec, edges).outputs.energy);
      for (const auto precision : {Precision::Double, Precision::Mixed, Precision::Single}) {
        SCOPED_TRACE(name + ", " + std::to_string(sorted.size()) + " elements, " +
                     std::string(name_of(precision)));
        PotentialOptions options;
        options.precision = precision;
        Potential of_whole(whole, options);
        Potential of_cut(cut, options);
        const Observables expected = of_whole.evaluate(edges, {true, true, true});
        EXPECT_GT(max_size(expected.forces), 1e-3);
        expect_same_bits(of_cut.evaluate(edges_of_cut, {true, true, true}), expected);
        std::vector<double> free_atoms;
        for (const std::int32_t number : sorted) {
          const auto row = std::find(spec.species.begin(), spec.species.end(), number);
          free_atoms.push_back(
              of_whole.free_atom_energies()[static_cast<std::size_t>(row - spec.species.begin())]);
        }
        EXPECT_EQ(of_cut.free_atom_energies(), free_atoms);
      }
    }
  }
}

TEST(CutSpecies, RadialTablesAreMadeOnceForAFileAndItsParts) {
  const Model whole{network({1, 6, 8}, OfSpecies::Nothing)};
  const Model cut = whole.with_species({6, 8});
  const EdgeList edges = edges_of(cut.spec(), random_structure(12, {6, 8}, 0.08, 0.9, 3));
  PotentialOptions options;
  options.table_cache = make_table_cache();
  Potential first(whole, options);
  ASSERT_EQ(options.table_cache->tables.size(), 2U);
  const Observables expected = Potential(cut).evaluate(edges, {true, true, true});
  expect_same_bits(Potential(cut, options).evaluate(edges, {true, true, true}), expected);
  EXPECT_EQ(options.table_cache->tables.size(), 2U);
  // What is there is taken.
  for (auto& entry : options.table_cache->tables) {
    for (double& coefficient : entry.second.coefficients) {
      coefficient = 0.0;
    }
  }
  EXPECT_NE(Potential(cut, options).evaluate(edges).energy, expected.energy);
  // Not for another precision, whose tables are others.
  options.precision = Precision::Single;
  PotentialOptions single;
  single.precision = Precision::Single;
  EXPECT_EQ(Potential(cut, options).evaluate(edges).energy,
            Potential(cut, single).evaluate(edges).energy);
  EXPECT_EQ(options.table_cache->tables.size(), 4U);
}

/// The model with these elements: each that it lacks has the weights of its first.
ModelSpec with_more_elements(ModelSpec model, const std::vector<std::int32_t>& species) {
  const std::vector<std::int32_t> before = model.species;
  const auto row_of = [&](std::int32_t number) {
    const auto found = std::find(before.begin(), before.end(), number);
    return found == before.end() ? std::ptrdiff_t{0} : found - before.begin();
  };
  const auto widen = [&](std::vector<double>& values) {
    const auto size = static_cast<std::ptrdiff_t>(values.size() / before.size());
    std::vector<double> wide;
    for (const std::int32_t number : species) {
      const auto row = values.begin() + row_of(number) * size;
      wide.insert(wide.end(), row, row + size);
    }
    values = std::move(wide);
  };
  const auto widen_tensor = [&](Tensor& tensor) {
    widen(tensor.values);
    tensor.shape.front() = static_cast<std::int64_t>(species.size());
  };
  model.species = species;
  widen(model.energy.scale);
  widen(model.energy.reference);
  for (eqnn::Stage& stage : model.graph) {
    if (auto* embedding = std::get_if<SpeciesEmbeddingStage>(&stage.op)) {
      widen_tensor(embedding->table);
    } else if (auto* linear = std::get_if<LinearStage>(&stage.op); linear && linear->per_species) {
      for (BlockWeight& block : linear->blocks) {
        widen_tensor(block.weight);
      }
    } else if (auto* contraction = std::get_if<SymmetricContractionStage>(&stage.op)) {
      for (ContractionTerm& term : contraction->terms) {
        widen_tensor(term.weights);
      }
    } else if (auto* polynomial = std::get_if<SpherePolynomialStage>(&stage.op)) {
      for (Tensor& order : polynomial->orders) {
        widen_tensor(order);
      }
    } else if (auto* zbl = std::get_if<ZblStage>(&stage.op)) {
      widen_tensor(zbl->radius);
    }
  }
  return model;
}

TEST(CutSpecies, TakesTheMemoryOfAModelThatNeverHadTheOthers) {
  const ModelSpec few = network({1, 6, 8}, OfSpecies::Nothing);
  std::vector<std::int32_t> all(89);
  std::iota(all.begin(), all.end(), 1);
  const Model small{few};
  const Model whole{with_more_elements(few, all)};
  const Model cut = whole.with_species({1, 6, 8});
  const Structure structure = random_structure(12, {1, 6, 8}, 0.08, 0.9, 3);

  struct Found {
    std::size_t bytes;
    double energy;
  };

  const auto found = [&](const Model& model) {
    Potential potential(model);
    const double energy = potential.evaluate(edges_of(model.spec(), structure)).energy;
    return Found{potential.bytes_used(), energy};
  };
  EXPECT_EQ(found(cut).bytes, found(small).bytes);
  EXPECT_EQ(found(cut).energy, found(small).energy);
  // The maps by species alone, of 86 elements: three blocks of 6 x 6, padded to lanes.
  EXPECT_GT(found(whole).bytes, found(small).bytes + std::size_t{86} * 3 * 36 * sizeof(double));
}

} // namespace
} // namespace eqnn::test
