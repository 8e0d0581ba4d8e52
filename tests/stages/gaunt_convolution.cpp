// SPDX-License-Identifier: BSD-3-Clause
#include "stages/stage_case.hpp"

namespace eqnn::test {

std::vector<StageCase> gaunt_convolution_cases() {
  return {one_stage("sparse",
                    Parity::O3,
                    3,
                    [](GraphBuilder& b) {
                      const StageIndex y = b.harmonics(2);
                      return b.gaunt_convolution(b.uniform_input(2, 5), y, 2);
                    },
                    {std::nullopt, plan::SphereMethod::Sparse}),
          one_stage("scalar_filter", Parity::O3, 3, [](GraphBuilder& b) {
            const StageIndex y = b.harmonics(0);
            return b.gaunt_convolution(b.uniform_input(1, 13), y, 1);
          })};
}

} // namespace eqnn::test
