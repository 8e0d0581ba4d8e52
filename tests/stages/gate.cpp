// SPDX-License-Identifier: BSD-3-Clause
#include "stages/stage_case.hpp"

namespace eqnn::test {
namespace {

StageCase with_functions(const std::string& name, Activation function) {
  return one_stage(name, Parity::O3, 3, [function](GraphBuilder& b) {
    return b.gate(b.input({{0, false, 5 + 4}, {0, true, 2}, {1, true, 4}}), function, function);
  });
}

} // namespace

std::vector<StageCase> gate_cases() {
  return {one_stage("own_gates",
                    Parity::O3,
                    3,
                    [](GraphBuilder& b) {
                      return b.gate(
                          b.input({{0, false, 13 + 8}, {0, true, 2}, {1, true, 5}, {2, false, 3}}));
                    }),
          one_stage(
              "only_gates",
              Parity::O3,
              3,
              [](GraphBuilder& b) { return b.gate(b.input({{0, false, 1 + 33}, {1, true, 33}})); }),
          with_functions("abs", Activation::Abs),
          with_functions("gelu", Activation::Gelu),
          with_functions("mish", Activation::Mish),
          with_functions("shifted_softplus", Activation::ShiftedSoftplus),
          one_stage("by_others",
                    Parity::So3,
                    3,
                    [](GraphBuilder& b) {
                      const StageIndex x = b.uniform_input(2, 13);
                      return b.gate_by(x, b.uniform_input(0, 13));
                    }),
          one_stage("scalars_by_others", Parity::So3, 3, [](GraphBuilder& b) {
            const StageIndex x = b.uniform_input(0, 5);
            return b.gate_by(x, b.uniform_input(0, 5));
          })};
}

} // namespace eqnn::test
