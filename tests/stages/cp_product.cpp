// SPDX-License-Identifier: BSD-3-Clause
#include "stages/stage_case.hpp"

namespace eqnn::test {
namespace {

StageCase factored(const std::string& name,
                   plan::CouplingMethod method,
                   const std::array<std::int32_t, 3>& degrees,
                   std::int32_t channels,
                   std::int32_t rank) {
  Methods methods;
  methods.couplings = method;
  return one_stage(
      name,
      Parity::So3,
      3,
      [&](GraphBuilder& b) {
        const auto& [l_source, l_filter, l_out] = degrees;
        const StageIndex y = b.harmonics(l_filter);
        return b.cp_convolution(b.uniform_input(l_source, channels), y, l_out, rank);
      },
      methods);
}

} // namespace

/// Through the stage of a file that becomes it.
std::vector<StageCase> cp_product_cases() {
  std::vector<StageCase> cases;
  for (const auto method : {plan::CouplingMethod::Cp, plan::CouplingMethod::Node}) {
    const std::string name = plan::name_of(method);
    cases.push_back(factored(name + "_l2", method, {2, 2, 2}, 5, 30));
    cases.push_back(factored(name + "_wide", method, {1, 2, 1}, 70, 9));
    cases.push_back(factored(name + "_rank_1", method, {0, 3, 3}, 1, 1));
    cases.push_back(factored(name + "_unequal", method, {3, 1, 0}, 16, 19));
  }
  return cases;
}

} // namespace eqnn::test
