// SPDX-License-Identifier: BSD-3-Clause
#include "stages/stage_case.hpp"

namespace eqnn::test {
namespace {

StageIndex divided(GraphBuilder& b, const Irreps& irreps) {
  DivideStage op;
  op.features = b.input(irreps);
  op.divisor = b.input({{0, false, 1}});
  return b.features(irreps, std::move(op));
}

} // namespace

std::vector<StageCase> divide_cases() {
  return {one_stage("blocks",
                    Parity::O3,
                    3,
                    [](GraphBuilder& b) {
                      return divided(b,
                                     {{0, false, 13}, {0, true, 2}, {1, true, 5}, {2, false, 3}});
                    }),
          one_stage("scalar", Parity::O3, 3, [](GraphBuilder& b) {
            return divided(b, {{0, false, 1}});
          })};
}

} // namespace eqnn::test
