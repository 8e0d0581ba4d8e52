// SPDX-License-Identifier: BSD-3-Clause
// Irreducible representations of O(3) in node features.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace eqnn {

/// Highest degree of harmonics and features, in files and in the tables of kernels.
inline constexpr std::int32_t kMaxDegree = 10;

/// `channels` copies of degree l, with 2l+1 components, m = -l..l. odd: odd parity, as of spherical
/// harmonics of odd degree (changes sign under inversion).
struct IrrepsBlock {
  std::int32_t l = 0;
  bool odd = false;
  std::int32_t channels = 0;

  std::int32_t components() const { return 2 * l + 1; }

  bool same_kind(const IrrepsBlock& other) const { return l == other.l && odd == other.odd; }

  bool operator==(const IrrepsBlock& other) const {
    return same_kind(other) && channels == other.channels;
  }
};

/// Sorted by degree, even before odd. Each (l, parity) occurs at most once.
using Irreps = std::vector<IrrepsBlock>;

/// Sorts blocks by degree, even before odd.
void sort_blocks(Irreps& irreps);

/// "1o"
std::string kind_name(const IrrepsBlock& block);

/// "64x0e+32x1o"
std::string irreps_text(const Irreps& irreps);

/// Parses text such as "1o" as a block with 0 channels. Empty if the text has another form.
std::optional<IrrepsBlock> parse_kind(const std::string& text);

/// Parses text such as "64x0e+32x1o", in the order of Irreps. Empty if the text has another form.
std::optional<Irreps> parse_irreps(const std::string& text);

/// Position of the block with this degree and parity, or -1.
std::int32_t find_block(const Irreps& irreps, const IrrepsBlock& kind);

/// Sum over blocks of 2l+1.
std::int32_t component_count(const Irreps& irreps);

/// Number of components of a function on the sphere with degrees 0..l_max.
constexpr std::int32_t sphere_components(std::int32_t l_max) { return (l_max + 1) * (l_max + 1); }

/// The first component of block b.
std::int32_t first_component(const Irreps& irreps, std::int32_t b);

/// Degree of component l^2 + l + m of functions on the sphere.
constexpr std::int32_t degree_of(std::int32_t component) {
  std::int32_t l = 0;
  while ((l + 1) * (l + 1) <= component) {
    ++l;
  }
  return l;
}

/// `channels` channels for each degree 0..l_max. Parity is that of the harmonics if o3, otherwise
/// even.
Irreps uniform_irreps(std::int32_t l_max, std::int32_t channels, bool o3);

/// Whether there is one block for each degree 0..l_max, all with the same number of channels, and
/// all even or all with the parity of the harmonics.
bool is_uniform(const Irreps& irreps);

} // namespace eqnn
