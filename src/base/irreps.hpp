// SPDX-License-Identifier: BSD-3-Clause
// The irreducible representations of O(3) in node features.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace eqnn {

/// Highest degree of harmonics and features, in a file and in the kernels' tables.
inline constexpr std::int32_t kMaxDegree = 10;

/// `channels` copies of degree l: 2l+1 components, m = -l..l. odd: changes sign under inversion
/// where the spherical harmonics of even degree do not.
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

/// By increasing l, even before odd; each (l, parity) at most once.
using Irreps = std::vector<IrrepsBlock>;

/// By degree, even before odd.
void sort_blocks(Irreps& irreps);

/// "1o"
std::string kind_name(const IrrepsBlock& block);

/// "64x0e+32x1o"
std::string irreps_text(const Irreps& irreps);

/// Parses "1o" as a block with 0 channels. Empty if the text is not one.
std::optional<IrrepsBlock> parse_kind(const std::string& text);

/// Parses "64x0e+32x1o", in the order of Irreps. Empty if the text is not of this form.
std::optional<Irreps> parse_irreps(const std::string& text);

/// Position of the block of this degree and parity, or -1.
std::int32_t find_block(const Irreps& irreps, const IrrepsBlock& kind);

/// Sum over blocks of 2l+1.
std::int32_t component_count(const Irreps& irreps);

/// Number of components of functions on the sphere of degrees 0..l_max.
constexpr std::int32_t sphere_components(std::int32_t l_max) { return (l_max + 1) * (l_max + 1); }

/// Component at which block b begins.
std::int32_t first_component(const Irreps& irreps, std::int32_t b);

/// Degree of component l^2 + l + m of functions on the sphere.
constexpr std::int32_t degree_of(std::int32_t component) {
  std::int32_t l = 0;
  while ((l + 1) * (l + 1) <= component) {
    ++l;
  }
  return l;
}

/// `channels` of each degree 0..l_max; parity of the harmonics where o3, else all even.
Irreps uniform_irreps(std::int32_t l_max, std::int32_t channels, bool o3);

/// One block of the same number of channels for each degree 0..l_max, all even or with the parities
/// of the harmonics.
bool is_uniform(const Irreps& irreps);

} // namespace eqnn
