// SPDX-License-Identifier: BSD-3-Clause
#include "stages/stage_case.hpp"

namespace eqnn::test {
namespace {

StageCase ending_with(const std::string& name, Activation last) {
  return one_stage(name, Parity::O3, 3, [last](GraphBuilder& b) {
    return b.readout(b.uniform_input(0, 5), last);
  });
}

} // namespace

std::vector<StageCase> readout_cases() {
  return {
      one_stage("c13",
                Parity::O3,
                3,
                [](GraphBuilder& b) { return b.readout(b.input({{0, false, 13}, {1, true, 4}})); }),
      one_stage(
          "c1", Parity::O3, 3, [](GraphBuilder& b) { return b.readout(b.uniform_input(0, 1)); }),
      ending_with("silu_at_the_end", Activation::Silu),
      ending_with("tanh", Activation::Tanh),
      ending_with("abs", Activation::Abs),
      ending_with("gelu", Activation::Gelu),
      ending_with("mish", Activation::Mish),
      ending_with("shifted_softplus", Activation::ShiftedSoftplus)};
}

} // namespace eqnn::test
