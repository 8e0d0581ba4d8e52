// SPDX-License-Identifier: BSD-3-Clause
#include "stages/stage_case.hpp"

namespace eqnn::test {

std::vector<StageCase> polynomial_cases() {
  return {one_stage("nu1",
                    Parity::O3,
                    3,
                    [](GraphBuilder& b) { return b.polynomial(b.uniform_input(1, 1), 1, 1); },
                    {plan::SphereMethod::Sparse, std::nullopt}),
          one_stage("nu3_c33",
                    Parity::O3,
                    3,
                    [](GraphBuilder& b) { return b.polynomial(b.uniform_input(1, 33), 0, 3); },
                    {plan::SphereMethod::Sparse, std::nullopt})};
}

} // namespace eqnn::test
