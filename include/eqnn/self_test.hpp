// SPDX-License-Identifier: BSD-3-Clause
// Evaluates the structures stored in a model file, and compares the results with those in the file.
#pragma once

#include "eqnn/export.h"
#include "eqnn/model.hpp"
#include "eqnn/potential.hpp"
#include "eqnn/precision.hpp"

#include <cstdint>
#include <vector>

namespace eqnn {

/// The largest deviations from the results in the file, over all its self-test structures. NaN if a
/// deviation is NaN.
struct SelfTestResult {
  int n_structures = 0;      ///< in the file; 0: no test was run
  double energy_error = 0.0; ///< eV per atom
  double force_error = 0.0;  ///< eV/Angstrom, for one component
  double virial_error = 0.0; ///< eV per atom, for one component; 0 for direct forces
};

/// The atomic numbers in the self-tests, in increasing order without duplicates. Passed to
/// Model::with_species(), they keep all self-tests.
EQNN_API std::vector<std::int32_t> elements_of_self_tests(const Model& model);

/// Runs the self-tests. The potential may have any EnergyZero. @pre the potential was made from
/// this model.
EQNN_API SelfTestResult run_self_tests(const Model& model, Potential& potential);

/// Throws Error if a deviation is NaN or larger than `precision` can explain: 1e-7 for Double,
/// otherwise 1e-2, in the units of SelfTestResult.
EQNN_API void require_passed(const SelfTestResult& result, const Model& model, Precision precision);

} // namespace eqnn
