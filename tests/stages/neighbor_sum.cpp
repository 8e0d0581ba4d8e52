// SPDX-License-Identifier: BSD-3-Clause
#include "stages/stage_case.hpp"

namespace eqnn::test {

std::vector<StageCase> neighbor_sum_cases() {
  return {
      one_stage("l0",
                Parity::So3,
                3,
                [](GraphBuilder& b) { return b.degree_embedding(b.matrix(b.harmonics(0)), 1, 1); }),
      one_stage("l3", Parity::So3, 3, [](GraphBuilder& b) {
        return b.degree_embedding(b.matrix(b.harmonics(3)), 13, 4);
      })};
}

} // namespace eqnn::test
