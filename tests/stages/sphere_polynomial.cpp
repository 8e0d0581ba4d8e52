// SPDX-License-Identifier: BSD-3-Clause
#include "stages/stage_case.hpp"

namespace eqnn::test {

std::vector<StageCase> sphere_polynomial_cases() {
  return {one_stage("fastest", Parity::O3, 3, [](GraphBuilder& b) {
    return b.polynomial(b.uniform_input(2, 5), 2, 3);
  })};
}

} // namespace eqnn::test
