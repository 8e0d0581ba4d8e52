// SPDX-License-Identifier: BSD-3-Clause
#include "stages/stage_case.hpp"

namespace eqnn::test {

std::vector<StageCase> add_cases() {
  return {one_stage("equal",
                    Parity::O3,
                    3,
                    [](GraphBuilder& b) {
                      const Irreps x{{0, false, 13}, {0, true, 2}, {1, true, 5}, {2, false, 3}};
                      return b.sum(b.input(x), b.input(x));
                    }),
          one_stage("some_blocks",
                    Parity::O3,
                    3,
                    [](GraphBuilder& b) {
                      return b.sum(
                          b.input({{0, false, 13}, {0, true, 2}, {1, true, 5}, {2, false, 3}}),
                          b.input({{0, false, 13}, {2, false, 3}}));
                    }),
          one_stage("twice", Parity::O3, 3, [](GraphBuilder& b) {
            const StageIndex x = b.uniform_input(1, 6);
            return b.sum(x, x);
          })};
}

} // namespace eqnn::test
