// SPDX-License-Identifier: BSD-3-Clause
// Runs the fuzzer's corpus through the fuzz target.
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

TEST(ModelReader, TakesTheFuzzersCorpusWithoutHarm) {
  int n_inputs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(EQNN_FUZZ_CORPUS)) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)),
                            std::istreambuf_iterator<char>());
    EXPECT_EQ(
        LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()),
        0)
        << entry.path();
    ++n_inputs;
  }
  EXPECT_GE(n_inputs, 500);
}
