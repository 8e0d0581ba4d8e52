// SPDX-License-Identifier: BSD-3-Clause
#include "stages/stage_case.hpp"

namespace eqnn::test {

std::vector<StageCase> gaunt_product_cases() {
  return {one_stage("sparse",
                    Parity::O3,
                    3,
                    [](GraphBuilder& b) {
                      const StageIndex x = b.uniform_input(2, 5);
                      return b.gaunt_product(x, b.uniform_input(1, 5), 2, true, false);
                    },
                    {plan::SphereMethod::Sparse, std::nullopt}),
          one_stage("sparse_with_curl",
                    Parity::So3,
                    3,
                    [](GraphBuilder& b) {
                      const StageIndex x = b.uniform_input(1, 13);
                      return b.gaunt_product(x, b.uniform_input(2, 13), 2, true, true);
                    },
                    {plan::SphereMethod::Sparse, std::nullopt}),
          one_stage("grid",
                    Parity::O3,
                    3,
                    [](GraphBuilder& b) {
                      const StageIndex x = b.uniform_input(2, 5);
                      return b.gaunt_product(x, b.uniform_input(1, 5), 2, true, false);
                    },
                    {plan::SphereMethod::Grid, std::nullopt}),
          one_stage("grid_with_curl",
                    Parity::So3,
                    3,
                    [](GraphBuilder& b) {
                      const StageIndex x = b.uniform_input(1, 13);
                      return b.gaunt_product(x, b.uniform_input(2, 13), 2, true, true);
                    },
                    {plan::SphereMethod::Grid, std::nullopt}),
          one_stage("fourier",
                    Parity::O3,
                    3,
                    [](GraphBuilder& b) {
                      const StageIndex x = b.uniform_input(2, 5);
                      return b.gaunt_product(x, b.uniform_input(1, 5), 2, true, false);
                    },
                    {plan::SphereMethod::Fourier, std::nullopt}),
          one_stage("fourier_with_curl",
                    Parity::So3,
                    3,
                    [](GraphBuilder& b) {
                      const StageIndex x = b.uniform_input(1, 13);
                      return b.gaunt_product(x, b.uniform_input(2, 13), 2, true, true);
                    },
                    {plan::SphereMethod::Fourier, std::nullopt}),
          one_stage("square", Parity::O3, 3, [](GraphBuilder& b) {
            const StageIndex x = b.uniform_input(2, 4);
            return b.gaunt_product(x, x, 1, false, false);
          })};
}

} // namespace eqnn::test
