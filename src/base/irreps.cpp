// SPDX-License-Identifier: BSD-3-Clause
#include "base/irreps.hpp"

#include <algorithm>
#include <charconv>

namespace eqnn {
namespace {

/// Removes a number from the start of the text and returns it; -1 if there is none.
std::int32_t take_number(std::string& text) {
  std::int32_t number = -1;
  const char* const begin = text.data();
  const auto [end, error] = std::from_chars(begin, begin + text.size(), number);
  if (error != std::errc() || number < 0) {
    return -1;
  }
  text.erase(0, static_cast<std::size_t>(end - begin));
  return number;
}

bool before(const IrrepsBlock& a, const IrrepsBlock& b) {
  return a.l != b.l ? a.l < b.l : !a.odd && b.odd;
}

} // namespace

void sort_blocks(Irreps& irreps) { std::sort(irreps.begin(), irreps.end(), before); }

std::string kind_name(const IrrepsBlock& block) {
  return std::to_string(block.l) + (block.odd ? "o" : "e");
}

std::string irreps_text(const Irreps& irreps) {
  std::string text;
  for (const IrrepsBlock& block : irreps) {
    text += (text.empty() ? "" : "+") + std::to_string(block.channels) + "x" + kind_name(block);
  }
  return text;
}

std::optional<IrrepsBlock> parse_kind(const std::string& text) {
  std::string rest = text;
  IrrepsBlock block;
  block.l = take_number(rest);
  if (block.l < 0 || (rest != "e" && rest != "o")) {
    return std::nullopt;
  }
  block.odd = rest == "o";
  return block;
}

std::optional<Irreps> parse_irreps(const std::string& text) {
  Irreps irreps;
  std::size_t begin = 0;
  while (begin <= text.size()) {
    const std::size_t end = std::min(text.find('+', begin), text.size());
    std::string part = text.substr(begin, end - begin);
    const std::int32_t channels = take_number(part);
    if (channels < 1 || part.empty() || part.front() != 'x') {
      return std::nullopt;
    }
    auto block = parse_kind(part.substr(1));
    if (!block || (!irreps.empty() && !before(irreps.back(), *block))) {
      return std::nullopt;
    }
    block->channels = channels;
    irreps.push_back(*block);
    begin = end + 1;
  }
  return irreps;
}

std::int32_t find_block(const Irreps& irreps, const IrrepsBlock& kind) {
  const auto found = std::find_if(
      irreps.begin(), irreps.end(), [&](const IrrepsBlock& b) { return b.same_kind(kind); });
  return found == irreps.end() ? -1 : static_cast<std::int32_t>(found - irreps.begin());
}

std::int32_t component_count(const Irreps& irreps) {
  return first_component(irreps, static_cast<std::int32_t>(irreps.size()));
}

std::int32_t first_component(const Irreps& irreps, std::int32_t b) {
  std::int32_t n = 0;
  for (std::int32_t k = 0; k < b; ++k) {
    n += irreps[static_cast<std::size_t>(k)].components();
  }
  return n;
}

Irreps uniform_irreps(std::int32_t l_max, std::int32_t channels, bool o3) {
  Irreps irreps;
  for (std::int32_t l = 0; l <= l_max; ++l) {
    irreps.push_back({l, o3 && l % 2 == 1, channels});
  }
  return irreps;
}

bool is_uniform(const Irreps& irreps) {
  if (irreps.empty()) {
    return false;
  }
  const auto l_max = static_cast<std::int32_t>(irreps.size()) - 1;
  const std::int32_t channels = irreps.front().channels;
  return irreps == uniform_irreps(l_max, channels, false) ||
         irreps == uniform_irreps(l_max, channels, true);
}

} // namespace eqnn
