// SPDX-License-Identifier: BSD-3-Clause
#include "stages/stage_case.hpp"

namespace eqnn::test {

std::vector<StageCase> edge_tensor_product_cases() {
  return {one_stage("l1",
                    Parity::O3,
                    3,
                    [](GraphBuilder& b) {
                      const StageIndex y = b.harmonics(1);
                      return b.product(b.uniform_input(1, 5), y, 1);
                    }),
          one_stage("blocks", Parity::O3, 3, [](GraphBuilder& b) {
            const StageIndex y = b.harmonics(3);
            return b.product(
                b.input({{0, false, 13}, {0, true, 2}, {1, true, 5}, {2, false, 3}}), y, 3);
          })};
}

} // namespace eqnn::test
