// SPDX-License-Identifier: BSD-3-Clause
// Evaluates the structures that are stored in a model file, and compares the results with
// those in the file.
#pragma once

#include "eqnn/export.h"
#include "eqnn/model.hpp"
#include "eqnn/potential.hpp"
#include "eqnn/precision.hpp"

#include <cstdint>
#include <vector>

namespace eqnn {

/// The largest deviations from the file over all its self-test structures. NaN stays NaN.
struct SelfTestResult {
  int n_structures = 0;      ///< in the file; 0: nothing was tested
  double energy_error = 0.0; ///< eV per atom
  double force_error = 0.0;  ///< eV/Angstrom, of one component
  double virial_error = 0.0; ///< eV per atom, of one component; 0 for direct forces
};

/// The atomic numbers in the self-tests, increasing, each once. Model::with_species() needs them to
/// keep all self-tests.
EQNN_API std::vector<std::int32_t> elements_of_self_tests(const Model& model);

/// Runs the self-tests, with any EnergyZero of the potential. @pre the potential is that of the
/// model
EQNN_API SelfTestResult run_self_tests(const Model& model, Potential& potential);

/// Throws Error if a deviation is larger than `precision` can explain.
EQNN_API void require_passed(const SelfTestResult& result, const Model& model, Precision precision);

} // namespace eqnn
