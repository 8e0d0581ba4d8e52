// SPDX-License-Identifier: BSD-3-Clause
#include "stages/stage_case.hpp"

namespace eqnn::test {

std::vector<StageCase> sphere_power_cases() {
  return {one_stage("grid",
                    Parity::O3,
                    3,
                    [](GraphBuilder& b) { return b.polynomial(b.uniform_input(2, 5), 1, 3); },
                    {plan::SphereMethod::Grid, std::nullopt}),
          one_stage("fourier",
                    Parity::O3,
                    3,
                    [](GraphBuilder& b) { return b.polynomial(b.uniform_input(1, 13), 2, 4); },
                    {plan::SphereMethod::Fourier, std::nullopt})};
}

} // namespace eqnn::test
