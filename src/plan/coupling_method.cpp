// SPDX-License-Identifier: BSD-3-Clause
#include "base/error.hpp"
#include "plan/tables.hpp"

namespace eqnn::plan {

std::string name_of(CouplingMethod method) {
  switch (method) {
  case CouplingMethod::Matrix:
    return "matrix";
  case CouplingMethod::Cp:
    return "cp";
  default:
    return "node";
  }
}

CouplingMethod coupling_method_from_name(std::string_view name) {
  for (const auto method : {CouplingMethod::Matrix, CouplingMethod::Cp, CouplingMethod::Node}) {
    if (name == name_of(method)) {
      return method;
    }
  }
  fail("couplings \"", name, "\", expected matrix, cp or node.");
}

} // namespace eqnn::plan
