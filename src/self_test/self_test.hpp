// SPDX-License-Identifier: BSD-3-Clause
// The self-tests of eqnn/self_test.hpp, for whatever evaluates a model.
#pragma once

#include "eqnn/edges.hpp"
#include "eqnn/observables.hpp"
#include "eqnn/self_test.hpp"

#include <functional>

namespace eqnn {

/// evaluate: forces and virial are wanted, energies as the model has its zero
SelfTestResult run_self_tests(const Model& model,
                              const std::function<Observables(const EdgeList&)>& evaluate);

} // namespace eqnn
