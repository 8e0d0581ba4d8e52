// SPDX-License-Identifier: BSD-3-Clause
#include "stages/stage_case.hpp"

namespace eqnn::test {

std::vector<StageCase> equivariant_norm_cases() {
  return {one_stage("l0_c1",
                    Parity::So3,
                    3,
                    [](GraphBuilder& b) { return b.equivariant_norm(b.uniform_input(0, 2)); }),
          one_stage("l2_c13", Parity::So3, 3, [](GraphBuilder& b) {
            return b.equivariant_norm(b.uniform_input(2, 13));
          })};
}

} // namespace eqnn::test
