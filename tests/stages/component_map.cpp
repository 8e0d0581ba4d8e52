// SPDX-License-Identifier: BSD-3-Clause
#include "stages/stage_case.hpp"

namespace eqnn::test {

/// After a CP product, as everywhere in a plan; its own shapes: more components out than in, and fewer.
std::vector<StageCase> component_map_cases() {
  std::vector<StageCase> cases;
  for (const std::int32_t rank : {2, 40}) {
    Methods methods;
    methods.couplings = plan::CouplingMethod::Node;
    cases.push_back(one_stage(
        "component_map_" + std::to_string(rank),
        Parity::So3,
        3,
        [&](GraphBuilder& b) {
          const StageIndex y = b.harmonics(1);
          return b.cp_convolution(b.uniform_input(2, 3), y, 3, rank);
        },
        methods));
  }
  return cases;
}

} // namespace eqnn::test
