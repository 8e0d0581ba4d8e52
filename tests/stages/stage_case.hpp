// SPDX-License-Identifier: BSD-3-Clause
// What the tests of stages run: a stage with random weights, its inputs made by nobody. tests/stages/NAME.cpp
// says with which shapes each is tested.
#pragma once

#include "plan/compile.hpp"
#include "support/graph_builder.hpp"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace eqnn::test {

/// How the plan must compute it; nothing: as it likes.
struct Methods {
  std::optional<plan::SphereMethod> products, convolutions;
  std::optional<plan::CouplingMethod> couplings = std::nullopt;
};

struct StageCase {
  std::string name;
  ModelSpec model; ///< its last stage is the one; those of nodes before it are inputs
  Methods methods;
  bool has_zeros = false; ///< channel 0 of each block of the inputs vanishes
};

/// l_max: of the model, which limits harmonics.
inline StageCase one_stage(const std::string& name,
                           Parity parity,
                           std::int32_t l_max,
                           const std::function<StageIndex(GraphBuilder&)>& make,
                           const Methods& methods = {}) {
  GraphBuilder build({1, 6, 8}, 4.0, l_max, parity, 7);
  (void)make(build);
  return {name, build.take(), methods};
}

} // namespace eqnn::test
