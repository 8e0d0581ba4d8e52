// SPDX-License-Identifier: BSD-3-Clause
// What a model says of itself when it was cut to some of its elements, and what is refused.
#include "model/cut_species.hpp"

#include "base/error.hpp"
#include "model/model_file.hpp"
#include "model/safetensors.hpp"

#include <gtest/gtest.h>

namespace eqnn::test {
namespace {

/// Of H, C, N, O, with self-tests of all four.
const ModelSpec& whole() {
  static const ModelSpec model = parse_model(
      read_file(std::string(EQNN_TEST_DATA) + "/golden/tdn/model_l1_h16_b1.eqnn"), "test.eqnn");
  return model;
}

std::string refusal(const std::vector<std::int32_t>& atomic_numbers) {
  try {
    (void)cut_species(whole(), atomic_numbers);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(CutSpecies, KeepsWhatIsOfTheFileAndCutsWhatIsOfSpecies) {
  const ModelSpec cut = cut_species(whole(), {8, 1, 8});
  EXPECT_EQ(cut.species, (std::vector<std::int32_t>{1, 8}));
  EXPECT_EQ(cut.energy.reference,
            (std::vector<double>{whole().energy.reference[0], whole().energy.reference[3]}));
  EXPECT_EQ(cut.energy.scale,
            (std::vector<double>{whole().energy.scale[0], whole().energy.scale[3]}));
  EXPECT_EQ(cut.file, whole().file);
  EXPECT_EQ(cut.sha256, whole().sha256);
  EXPECT_EQ(cut.n_parameters, whole().n_parameters);
  for (std::size_t k = 0; k < cut.graph.size(); ++k) {
    const auto* const embedding = std::get_if<SpeciesEmbeddingStage>(&cut.graph[k].op);
    if (embedding == nullptr) {
      continue;
    }
    const Tensor& table = std::get<SpeciesEmbeddingStage>(whole().graph[k].op).table;
    const auto n = static_cast<std::ptrdiff_t>(table.shape[1]);
    EXPECT_EQ(embedding->table.shape, (std::vector<std::int64_t>{2, n}));
    std::vector<double> rows(table.values.begin(), table.values.begin() + n);
    rows.insert(rows.end(), table.values.begin() + 3 * n, table.values.end());
    EXPECT_EQ(embedding->table.values, rows);
    return;
  }
  FAIL() << "no species embedding";
}

TEST(CutSpecies, SelfTestsThatNeedOtherElementsAreLeftOut) {
  ASSERT_FALSE(whole().self_tests.empty());
  EXPECT_EQ(cut_species(whole(), {1, 6, 7, 8}).self_tests.size(), whole().self_tests.size());
  EXPECT_TRUE(cut_species(whole(), {1, 8}).self_tests.empty());
  ModelSpec with_water = whole();
  with_water.self_tests.push_back({});
  with_water.self_tests.back().name = "water";
  with_water.self_tests.back().numbers = {8, 1, 1};
  const ModelSpec cut = cut_species(with_water, {1, 8});
  ASSERT_EQ(cut.self_tests.size(), 1U);
  EXPECT_EQ(cut.self_tests.front().name, "water");
}

TEST(CutSpecies, AnElementThatTheModelLacksIsRefused) {
  EXPECT_EQ(
      refusal({1, 14}),
      "test.eqnn: no element with the atomic number 14, expected some of H C N O.\nUse a model "
      "that was trained on it.");
  EXPECT_EQ(refusal({}),
            "test.eqnn: no element, expected at least one of H C N O. Name those in use.");
}

} // namespace
} // namespace eqnn::test
