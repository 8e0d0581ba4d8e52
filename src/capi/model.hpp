// SPDX-License-Identifier: BSD-3-Clause
// The object behind a handle of the C interface, and how its functions report failures.
#pragma once

#include "base/error.hpp"
#include "eqnn/model.hpp"
#include "eqnn/observables.hpp"
#include "eqnn/potential.hpp"

#include <memory>
#include <string>
#include <vector>

struct eqnn_model {
  eqnn::Model model;
  std::unique_ptr<eqnn::Potential> potential; ///< null for the reference evaluator
  std::string description;
  eqnn::Observables of_reference;
  std::vector<std::string> reasons; ///< of the last eqnn_evaluate_many()
};

namespace eqnn::capi {

/// The text that eqnn_last_error() returns; one for each thread.
std::string& last_error();

/// Runs body. Returns 0 on success. Otherwise stores the error message and returns 1.
template <class Body> int guarded(const Body& body) {
  last_error() = failure_of([] { return "not enough memory."; }, body);
  return last_error().empty() ? 0 : 1;
}

/// Throws Error for the reference evaluator. It would compute many structures one by one, which
/// takes minutes.
inline Potential& compiled(eqnn_model& model) {
  if (!model.potential) {
    fail(model.model.file(),
         ": the reference evaluator takes one structure at a time. Use double.");
  }
  return *model.potential;
}

} // namespace eqnn::capi
