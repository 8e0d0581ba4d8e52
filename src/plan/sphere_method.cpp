// SPDX-License-Identifier: BSD-3-Clause
#include "base/error.hpp"
#include "plan/tables.hpp"

#include <array>

namespace eqnn::plan {
namespace {

constexpr std::array<const char*, 4> kMethodNames{"sparse", "grid", "fourier", "aligned"};

} // namespace

std::string name_of(SphereMethod method) { return kMethodNames[static_cast<std::size_t>(method)]; }

SphereMethod product_method_from_name(std::string_view name) {
  for (const auto method : {SphereMethod::Sparse, SphereMethod::Grid, SphereMethod::Fourier}) {
    if (name == name_of(method)) {
      return method;
    }
  }
  fail("products \"", name, "\", expected sparse, grid or fourier.");
}

SphereMethod convolution_method_from_name(std::string_view name) {
  for (const auto method : {SphereMethod::Sparse, SphereMethod::Aligned}) {
    if (name == name_of(method)) {
      return method;
    }
  }
  fail("convolutions \"", name, "\", expected sparse or aligned.");
}

} // namespace eqnn::plan
