// SPDX-License-Identifier: BSD-3-Clause
#include "stages/stage_case.hpp"

namespace eqnn::test {

std::vector<StageCase> gate_cases() {
  return {one_stage("own_gates",
                    Parity::O3,
                    3,
                    [](GraphBuilder& b) {
                      return b.gate(
                          b.input({{0, false, 13 + 8}, {0, true, 2}, {1, true, 5}, {2, false, 3}}));
                    }),
          one_stage(
              "only_gates",
              Parity::O3,
              3,
              [](GraphBuilder& b) { return b.gate(b.input({{0, false, 1 + 33}, {1, true, 33}})); }),
          one_stage("by_others",
                    Parity::So3,
                    3,
                    [](GraphBuilder& b) {
                      const StageIndex x = b.uniform_input(2, 13);
                      return b.gate_by(x, b.uniform_input(0, 13));
                    }),
          one_stage("scalars_by_others", Parity::So3, 3, [](GraphBuilder& b) {
            const StageIndex x = b.uniform_input(0, 5);
            return b.gate_by(x, b.uniform_input(0, 5));
          })};
}

} // namespace eqnn::test
