// SPDX-License-Identifier: BSD-3-Clause
#include "stages/stage_case.hpp"

namespace eqnn::test {

std::vector<StageCase> readout_cases() {
  return {
      one_stage("c13",
                Parity::O3,
                3,
                [](GraphBuilder& b) { return b.readout(b.input({{0, false, 13}, {1, true, 4}})); }),
      one_stage(
          "c1", Parity::O3, 3, [](GraphBuilder& b) { return b.readout(b.uniform_input(0, 1)); }),
      one_stage("silu_at_the_end", Parity::O3, 3, [](GraphBuilder& b) {
        return b.readout(b.uniform_input(0, 5), Activation::Silu);
      })};
}

} // namespace eqnn::test
