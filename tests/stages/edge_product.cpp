// SPDX-License-Identifier: BSD-3-Clause
#include "stages/stage_case.hpp"

namespace eqnn::test {

std::vector<StageCase> edge_product_cases() {
  return {one_stage("scalars",
                    Parity::O3,
                    3,
                    [](GraphBuilder& b) {
                      const StageIndex y = b.harmonics(0);
                      return b.product(b.uniform_input(0, 1), y, 0);
                    }),
          one_stage("one_path",
                    Parity::O3,
                    3,
                    [](GraphBuilder& b) {
                      const StageIndex y = b.harmonics(2);
                      return b.product_of(b.uniform_input(2, 33), y, {{1, 2, 1}});
                    }),
          one_stage("of_species",
                    Parity::O3,
                    3,
                    [](GraphBuilder& b) {
                      b.of_species = GraphBuilder::OfSpecies::Terms;
                      const StageIndex y = b.harmonics(2);
                      return b.product_of(b.uniform_input(1, 9), y, {{1, 2, 1}, {0, 1, 1}});
                    }),
          one_stage("unequal_paths", Parity::O3, 3, [](GraphBuilder& b) {
            const StageIndex y = b.harmonics(2);
            return b.product_of(b.input({{0, false, 4}, {1, true, 1}, {2, false, 1}}),
                                y,
                                {{0, 0, 0}, {1, 1, 0}, {2, 2, 0}, {1, 0, 1}, {2, 1, 1}, {0, 1, 1}});
          })};
}

} // namespace eqnn::test
