// SPDX-License-Identifier: BSD-3-Clause
#include "eqnn/precision.hpp"

#include "base/error.hpp"

#include <array>
#include <utility>

namespace eqnn {
namespace {

constexpr std::array<std::pair<Precision, std::string_view>, 3> kPrecisionNames{
    {{Precision::Double, "double"}, {Precision::Mixed, "mixed"}, {Precision::Single, "single"}}};

} // namespace

Precision precision_from_name(std::string_view name) {
  for (const auto& [precision, known] : kPrecisionNames) {
    if (name == known) {
      return precision;
    }
  }
  fail("precision \"", name, "\", expected double, mixed or single.");
}

std::string_view name_of(Precision precision) {
  for (const auto& [known, name] : kPrecisionNames) {
    if (known == precision) {
      return name;
    }
  }
  return "?";
}

} // namespace eqnn
