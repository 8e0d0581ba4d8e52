// SPDX-License-Identifier: BSD-3-Clause
// The self-tests of eqnn/self_test.hpp, for any evaluator of a model.
#pragma once

#include "eqnn/edges.hpp"
#include "eqnn/observables.hpp"
#include "eqnn/self_test.hpp"

#include <functional>

namespace eqnn {

/// evaluate: must return forces and virial, and energies with the model's zero
SelfTestResult run_self_tests(const Model& model,
                              const std::function<Observables(const EdgeList&)>& evaluate);

} // namespace eqnn
