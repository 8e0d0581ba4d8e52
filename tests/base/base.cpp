// SPDX-License-Identifier: BSD-3-Clause
#include "base/elements.hpp"
#include "base/error.hpp"
#include "base/sha256.hpp"
#include "support/compare.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace eqnn::test {
namespace {

std::string hash_of(const std::string& text) {
  Sha256 hash;
  hash.update(text);
  return hash.hex_digest();
}

TEST(Sha256, GivesThePublishedVectors) { // FIPS 180-4 examples
  EXPECT_EQ(hash_of(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hash_of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hash_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(hash_of(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, DoesNotDependOnThePiecesThatItGets) {
  const std::string text(517, 'x');
  for (std::size_t piece = 1; piece < 130; ++piece) {
    Sha256 hash;
    for (std::size_t at = 0; at < text.size(); at += piece) {
      hash.update(text.substr(at, piece));
    }
    EXPECT_EQ(hash.hex_digest(), hash_of(text)) << piece;
  }
}

TEST(Elements, SymbolsAndNumbersAreInverse) {
  for (int z = 1; z <= kHeaviestElement; ++z) {
    EXPECT_EQ(atomic_number(element_symbol(z)), z);
  }
  EXPECT_EQ(element_symbol(6), "C");
  EXPECT_EQ(element_symbol(118), "Og");
  EXPECT_EQ(atomic_number("Xx"), 0);
  EXPECT_THROW((void)element_symbol(0), Error);
  EXPECT_THROW((void)element_symbol(119), Error);
}

TEST(Compare, ANaNIsNeverSmall) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<double> zero{0.0, 0.0, 0.0};
  for (std::size_t at = 0; at < 3; ++at) {
    std::vector<double> found{1.0, 2.0, 3.0};
    found[at] = nan;
    EXPECT_TRUE(std::isnan(max_error(found, zero))) << at;
    EXPECT_FALSE(max_error(found, zero) <= 1e300) << at;
    EXPECT_FALSE(relative_error(found, zero) <= 1e300) << at;
  }
  EXPECT_EQ(max_error(std::vector<double>{1.0, -5.0}, std::vector<double>{1.5, 0.0}), 5.0);
  EXPECT_THROW((void)max_error(zero, std::vector<double>{1.0}), std::invalid_argument);
}

} // namespace
} // namespace eqnn::test
