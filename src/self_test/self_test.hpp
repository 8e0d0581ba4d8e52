// SPDX-License-Identifier: BSD-3-Clause
// The self-tests of eqnn/self_test.hpp for any evaluator.
#pragma once

#include "eqnn/edges.hpp"
#include "eqnn/observables.hpp"
#include "eqnn/self_test.hpp"

#include <functional>

namespace eqnn {

/// evaluate: must return forces, virial, and energies with EnergyZero::Model
SelfTestResult run_self_tests(const Model& model,
                              const std::function<Observables(const EdgeList&)>& evaluate);

} // namespace eqnn
