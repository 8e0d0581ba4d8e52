// SPDX-License-Identifier: BSD-3-Clause
#include "stages/stage_case.hpp"

namespace eqnn::test {

std::vector<StageCase> symmetric_contraction_cases() {
  return {one_stage("nu3", Parity::O3, 3, [](GraphBuilder& b) {
    return b.contraction(b.uniform_input(2, 5), {{0, false, 5}, {1, true, 5}}, 3, 20);
  })};
}

} // namespace eqnn::test
