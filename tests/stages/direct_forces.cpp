// SPDX-License-Identifier: BSD-3-Clause
#include "stages/stage_case.hpp"

namespace eqnn::test {

std::vector<StageCase> direct_forces_cases() {
  return {one_stage("l2", Parity::So3, 3, [](GraphBuilder& b) {
    return b.direct_forces(b.uniform_input(2, 1));
  })};
}

} // namespace eqnn::test
