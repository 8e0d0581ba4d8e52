// SPDX-License-Identifier: BSD-3-Clause
#include "self_test/self_test.hpp"

#include "base/error.hpp"
#include "eqnn/neighbors.hpp"

#include <cmath>
#include <cstddef>
#include <set>
#include <vector>

namespace eqnn {
namespace {

/// Keeps the larger absolute deviation, and keeps NaN once there is one.
void take_worst(double& worst, double deviation) {
  if (!(std::abs(deviation) <= worst) && !std::isnan(worst)) {
    worst = std::abs(deviation);
  }
}

} // namespace

std::vector<std::int32_t> elements_of_self_tests(const Model& model) {
  std::set<std::int32_t> numbers;
  for (const SelfTest& test : model.self_tests()) {
    numbers.insert(test.numbers.begin(), test.numbers.end());
  }
  return {numbers.begin(), numbers.end()};
}

SelfTestResult run_self_tests(const Model& model,
                              const std::function<Observables(const EdgeList&)>& evaluate) {
  SelfTestResult result;
  for (const SelfTest& test : model.self_tests()) {
    const EdgeList edges =
        edges_of(test.numbers, test.positions, test.cell, model.species(), model.cutoff());
    const Observables found = evaluate(edges);
    const auto n_atoms = static_cast<double>(test.numbers.size());
    take_worst(result.energy_error, (found.energy - test.energy) / n_atoms);
    for (std::size_t i = 0; i < test.forces.size(); ++i) {
      for (std::size_t a = 0; a < 3; ++a) {
        take_worst(result.force_error, found.forces[3 * i + a] - test.forces[i][a]);
      }
    }
    if (test.virial) {
      for (std::size_t ab = 0; ab < 9; ++ab) {
        take_worst(result.virial_error, (found.virial[ab] - (*test.virial)[ab]) / n_atoms);
      }
    }
    ++result.n_structures;
  }
  return result;
}

SelfTestResult run_self_tests(const Model& model, Potential& potential) {
  std::vector<double> zero(model.species().size(), 0.0);
  if (potential.energy_zero() == EnergyZero::FreeAtoms) {
    zero = potential.free_atom_energies();
  }
  return run_self_tests(model, [&](const EdgeList& edges) {
    Observables found = potential.evaluate(edges, {true, true, false});
    for (const std::int32_t species : edges.species) {
      found.energy += zero[static_cast<std::size_t>(species)];
    }
    return found;
  });
}

void require_passed(const SelfTestResult& result, const Model& model, Precision precision) {
  // Errors from rounding and radial tables are a hundred times smaller. Errors from a wrong sign,
  // axis or unit are not.
  const double tolerance = precision == Precision::Double ? 1e-7 : 1e-2;
  if (result.energy_error <= tolerance && result.force_error <= tolerance &&
      result.virial_error <= tolerance) {
    return;
  }
  fail(model.file(),
       ": the self-test fails in ",
       name_of(precision),
       " precision: errors of ",
       result.energy_error,
       " eV/atom, ",
       result.force_error,
       " eV/Angstrom and (virial) ",
       result.virial_error,
       " eV/atom, expected at most ",
       tolerance,
       ".\nThis build does not reproduce the exporter's numbers: run the tests (make test), and "
       "report it.");
}

} // namespace eqnn
