// SPDX-License-Identifier: BSD-3-Clause
#include "stages/stage_case.hpp"

namespace eqnn::test {

std::vector<StageCase> zbl_cases() {
  return {one_stage("pairs", Parity::O3, 3, [](GraphBuilder& b) { return b.zbl(); })};
}

} // namespace eqnn::test
