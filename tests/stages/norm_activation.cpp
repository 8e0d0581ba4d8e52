// SPDX-License-Identifier: BSD-3-Clause
#include "stages/stage_case.hpp"

namespace eqnn::test {
namespace {

StageCase with_function(const std::string& name, Activation function) {
  return one_stage(name, Parity::O3, 3, [function](GraphBuilder& b) {
    return b.norm_activation(b.input({{0, false, 13}, {0, true, 2}, {1, true, 5}, {2, false, 3}}),
                             function);
  });
}

/// Norms of random features are on both sides of a limit near 1; near 0.05 the functions' ends are
/// reached.
StageCase with_limit(const std::string& name, double limit) {
  return one_stage(name, Parity::O3, 3, [limit](GraphBuilder& b) {
    return b.soft_normalization(
        b.input({{0, false, 13}, {0, true, 2}, {1, true, 5}, {3, true, 33}}), limit);
  });
}

/// The same where some features vanish, as those of symmetric environments do.
StageCase vanishing(StageCase of_stage) {
  of_stage.name += "_of_nothing";
  of_stage.has_zeros = true;
  return of_stage;
}

} // namespace

std::vector<StageCase> norm_activation_cases() {
  return {with_function("silu", Activation::Silu),
          with_function("tanh", Activation::Tanh),
          with_function("shifted_softplus", Activation::ShiftedSoftplus),
          with_limit("limit", 0.8),
          with_limit("low_limit", 0.05),
          with_limit("high_limit", 30.0),
          vanishing(with_function("tanh", Activation::Tanh)),
          vanishing(with_limit("limit", 0.8)),
          one_stage("scalar",
                    Parity::O3,
                    3,
                    [](GraphBuilder& b) {
                      return b.norm_activation(b.input({{0, false, 1}}), Activation::Silu);
                    }),
          // Many of these norms count as eps.
          one_stage("large_eps",
                    Parity::So3,
                    3,
                    [](GraphBuilder& b) {
                      return b.norm_activation(b.uniform_input(2, 13), Activation::Tanh, 0.7);
                    }),
          one_stage("uniform", Parity::So3, 3, [](GraphBuilder& b) {
            return b.soft_normalization(b.uniform_input(2, 13), 1.2);
          })};
}

} // namespace eqnn::test
