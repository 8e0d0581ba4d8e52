// SPDX-License-Identifier: BSD-3-Clause
#include "stages/stage_case.hpp"

namespace eqnn::test {

std::vector<StageCase> spherical_harmonics_cases() {
  return {one_stage("l0", Parity::O3, 3, [](GraphBuilder& b) { return b.harmonics(0); }),
          one_stage("l3", Parity::O3, 3, [](GraphBuilder& b) { return b.harmonics(3); })};
}

} // namespace eqnn::test
