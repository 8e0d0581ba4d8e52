// SPDX-License-Identifier: BSD-3-Clause
#include "stages/stage_case.hpp"

namespace eqnn::test {

std::vector<StageCase> symmetric_contraction_cases() {
  return {
      one_stage("nu3",
                Parity::O3,
                3,
                [](GraphBuilder& b) {
                  return b.contraction(b.uniform_input(2, 5), {{0, false, 5}, {1, true, 5}}, 3, 20);
                }),
      one_stage("nu4",
                Parity::O3,
                3,
                [](GraphBuilder& b) {
                  return b.contraction(b.uniform_input(2, 5), {{0, false, 5}, {1, true, 5}}, 4, 20);
                }),
      one_stage("both_parities", Parity::O3, 3, [](GraphBuilder& b) {
        const StageIndex x = b.input({{0, false, 5}, {0, true, 5}, {1, false, 5}, {1, true, 5}});
        return b.contraction(x, {{0, false, 5}, {0, true, 5}, {1, true, 5}}, 3, 20);
      })};
}

} // namespace eqnn::test
