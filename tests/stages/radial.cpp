// SPDX-License-Identifier: BSD-3-Clause
#include "stages/stage_case.hpp"

namespace eqnn::test {

std::vector<StageCase> radial_cases() {
  return {
      one_stage("polynomial", Parity::O3, 3, [](GraphBuilder& b) { return b.radial(7); }),
      one_stage(
          "xplor", Parity::O3, 3, [](GraphBuilder& b) { return b.radial(5, EnvelopeKind::Xplor); }),
      one_stage("no_envelope", Parity::O3, 3, [](GraphBuilder& b) {
        return b.radial(3, EnvelopeKind::None);
      })};
}

} // namespace eqnn::test
