// SPDX-License-Identifier: BSD-3-Clause
#include "stages/stage_case.hpp"

namespace eqnn::test {

std::vector<StageCase> edge_attention_cases() {
  return {one_stage("l0_c1_h1",
                    Parity::So3,
                    3,
                    [](GraphBuilder& b) {
                      const StageIndex m = b.matrix(b.harmonics(0));
                      const StageIndex x = b.uniform_input(0, 1);
                      return b.attention(x, b.uniform_input(0, 1), m, 1);
                    }),
          one_stage("l1_c6_h3",
                    Parity::So3,
                    3,
                    [](GraphBuilder& b) {
                      const StageIndex m = b.matrix(b.harmonics(1));
                      const StageIndex x = b.uniform_input(1, 6);
                      return b.attention(x, b.uniform_input(1, 6), m, 3);
                    }),
          one_stage("l2_c33_h3",
                    Parity::So3,
                    3,
                    [](GraphBuilder& b) {
                      const StageIndex m = b.matrix(b.harmonics(2));
                      const StageIndex x = b.uniform_input(2, 33);
                      return b.attention(x, b.uniform_input(2, 33), m, 3);
                    }),
          one_stage("envelope_l1_c6_h2",
                    Parity::So3,
                    3,
                    [](GraphBuilder& b) {
                      const StageIndex m = b.matrix(b.harmonics(1));
                      const StageIndex x = b.uniform_input(1, 6);
                      return b.attention(x, b.uniform_input(1, 6), m, 2, 6);
                    }),
          one_stage("envelope_of_order_2_l2_c33_h3",
                    Parity::So3,
                    3,
                    [](GraphBuilder& b) {
                      const StageIndex m = b.matrix(b.harmonics(2));
                      const StageIndex x = b.uniform_input(2, 33);
                      return b.attention(x, b.uniform_input(2, 33), m, 3, 2);
                    }),
          one_stage("same_source_and_center", Parity::So3, 3, [](GraphBuilder& b) {
            const StageIndex m = b.matrix(b.harmonics(1));
            const StageIndex x = b.uniform_input(1, 8);
            return b.attention(x, x, m, 2);
          })};
}

} // namespace eqnn::test
