// SPDX-License-Identifier: BSD-3-Clause
#include "stages/stage_case.hpp"

namespace eqnn::test {
namespace {

StageCase factored(const char* name,
                   std::optional<plan::CouplingMethod> method,
                   std::int32_t l_source,
                   std::int32_t l_filter,
                   std::int32_t l_out,
                   std::int32_t channels,
                   std::int32_t rank) {
  Methods methods;
  methods.couplings = method;
  return one_stage(
      name,
      Parity::So3,
      3,
      [&](GraphBuilder& b) {
        const StageIndex y = b.harmonics(l_filter);
        return b.cp_convolution(b.uniform_input(l_source, channels), y, l_out, rank);
      },
      methods);
}

} // namespace

std::vector<StageCase> cp_convolution_cases() {
  using plan::CouplingMethod;
  return {factored("matrix", CouplingMethod::Matrix, 2, 2, 2, 5, 13),
          factored("wide_matrix", CouplingMethod::Matrix, 3, 2, 1, 37, 3),
          factored("chosen", std::nullopt, 1, 1, 2, 13, 8),
          factored("rank_1", CouplingMethod::Matrix, 0, 3, 3, 1, 1)};
}

} // namespace eqnn::test
