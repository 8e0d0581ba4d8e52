// SPDX-License-Identifier: BSD-3-Clause
#include "stages/stage_case.hpp"

namespace eqnn::test {

std::vector<StageCase> linear_cases() {
  return {one_stage("blocks",
                    Parity::O3,
                    3,
                    [](GraphBuilder& b) {
                      return b.linear(
                          b.input({{0, false, 13}, {0, true, 2}, {1, true, 5}, {2, false, 3}}),
                          {{0, false, 7}, {1, true, 33}, {2, false, 1}});
                    }),
          one_stage("per_species",
                    Parity::O3,
                    3,
                    [](GraphBuilder& b) {
                      return b.linear(
                          b.input({{0, false, 13}, {0, true, 2}, {1, true, 5}, {2, false, 3}}),
                          {{0, false, 7}, {2, false, 5}},
                          true);
                    }),
          one_stage("all_degrees_alike",
                    Parity::So3,
                    3,
                    [](GraphBuilder& b) { return b.uniform_map(b.uniform_input(2, 5), 2, 13); }),
          one_stage("fewer_degrees", Parity::So3, 3, [](GraphBuilder& b) {
            return b.uniform_map(b.uniform_input(3, 16), 1, 16);
          })};
}

} // namespace eqnn::test
