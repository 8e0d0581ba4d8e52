// SPDX-License-Identifier: BSD-3-Clause
#include "stages/stage_case.hpp"

namespace eqnn::test {

std::vector<StageCase> zonal_product_cases() {
  return {one_stage("l2",
                    Parity::O3,
                    3,
                    [](GraphBuilder& b) {
                      const StageIndex y = b.harmonics(2);
                      return b.gaunt_convolution(b.uniform_input(2, 5), y, 2);
                    },
                    {std::nullopt, plan::SphereMethod::Aligned}),
          one_stage("l1_l3_l2_c33",
                    Parity::O3,
                    3,
                    [](GraphBuilder& b) {
                      const StageIndex y = b.harmonics(3);
                      return b.gaunt_convolution(b.uniform_input(1, 33), y, 2);
                    },
                    {std::nullopt, plan::SphereMethod::Aligned})};
}

} // namespace eqnn::test
