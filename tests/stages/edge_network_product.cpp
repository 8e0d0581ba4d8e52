// SPDX-License-Identifier: BSD-3-Clause
#include "stages/stage_case.hpp"

namespace eqnn::test {
namespace {

/// Of the center, for the network.
StageIndex scalars(GraphBuilder& build, std::int32_t n) { return build.input({{0, false, n}}); }

} // namespace

std::vector<StageCase> edge_network_product_cases() {
  return {one_stage("one_of_each",
                    Parity::O3,
                    3,
                    [](GraphBuilder& b) {
                      const StageIndex y = b.harmonics(0);
                      const StageIndex x = b.input({{0, false, 2}});
                      return b.network_product(x, scalars(b, 1), y, {{0, 0, 0}}, {1});
                    }),
          one_stage("layers",
                    Parity::O3,
                    3,
                    [](GraphBuilder& b) {
                      const StageIndex y = b.harmonics(2);
                      // 4 + 17 scalars: neither begin nor end at a multiple of a SIMD width
                      const StageIndex x = b.input({{0, false, 21}, {1, true, 3}, {2, false, 5}});
                      return b.network_product(
                          x,
                          scalars(b, 17),
                          y,
                          {{0, 0, 0}, {1, 1, 0}, {2, 2, 0}, {1, 0, 1}, {2, 1, 1}, {0, 1, 1}},
                          {17, 33, 9});
                    }),
          one_stage("envelope",
                    Parity::O3,
                    3,
                    [](GraphBuilder& b) {
                      const StageIndex y = b.harmonics(1);
                      return b.network_product(b.input({{0, false, 12}, {1, true, 7}}),
                                               scalars(b, 8),
                                               y,
                                               {{0, 1, 1}, {1, 1, 1}, {1, 1, 0}},
                                               {8, 16},
                                               Activation::Tanh,
                                               5.0);
                    }),
          one_stage("function_of_weights",
                    Parity::O3,
                    3,
                    [](GraphBuilder& b) {
                      b.of_species = GraphBuilder::OfSpecies::Agnesi;
                      const StageIndex y = b.harmonics(1);
                      return b.network_product(b.input({{0, false, 40}}),
                                               scalars(b, 5),
                                               y,
                                               {{0, 1, 1}, {0, 0, 0}},
                                               {5},
                                               Activation::Gelu,
                                               2.5);
                    }),
          one_stage("no_scalars_for_paths", Parity::So3, 3, [](GraphBuilder& b) {
            const StageIndex y = b.harmonics(2);
            return b.network_product(b.input({{0, false, 6}, {1, false, 33}}),
                                     scalars(b, 6),
                                     y,
                                     {{1, 0, 1}, {1, 1, 1}, {1, 2, 2}},
                                     {6, 8},
                                     Activation::Mish);
          })};
}

} // namespace eqnn::test
