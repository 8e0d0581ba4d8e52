// SPDX-License-Identifier: BSD-3-Clause
#include "stages/stage_case.hpp"

namespace eqnn::test {

std::vector<StageCase> degree_embedding_cases() {
  return {
      one_stage("l1",
                Parity::So3,
                3,
                [](GraphBuilder& b) { return b.degree_embedding(b.matrix(b.harmonics(1)), 5, 9); }),
      one_stage("l2_c33", Parity::So3, 3, [](GraphBuilder& b) {
        return b.degree_embedding(b.matrix(b.harmonics(2)), 33, 16);
      })};
}

} // namespace eqnn::test
