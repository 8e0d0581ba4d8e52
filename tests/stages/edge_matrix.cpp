// SPDX-License-Identifier: BSD-3-Clause
#include "stages/stage_case.hpp"

namespace eqnn::test {

std::vector<StageCase> edge_matrix_cases() {
  return {
      one_stage("l2", Parity::So3, 3, [](GraphBuilder& b) { return b.matrix(b.harmonics(2)); })};
}

} // namespace eqnn::test
