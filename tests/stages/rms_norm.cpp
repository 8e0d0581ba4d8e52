// SPDX-License-Identifier: BSD-3-Clause
#include "stages/stage_case.hpp"

namespace eqnn::test {

std::vector<StageCase> rms_norm_cases() {
  return {one_stage("blocks",
                    Parity::O3,
                    3,
                    [](GraphBuilder& b) {
                      return b.rms_norm(
                          b.input({{0, false, 13}, {0, true, 2}, {1, true, 5}, {2, false, 3}}));
                    }),
          one_stage("scalar", Parity::O3, 3, [](GraphBuilder& b) {
            return b.rms_norm(b.input({{0, false, 1}}));
          })};
}

} // namespace eqnn::test
