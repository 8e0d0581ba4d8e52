// SPDX-License-Identifier: BSD-3-Clause
#include "self_test/self_test.hpp"

#include "base/error.hpp"
#include "model/energy_semantics.hpp"
#include "reference/structure.hpp"

#include <array>
#include <cmath>
#include <vector>

namespace eqnn {
namespace {

/// Periodic images are edges here, not ghosts: there is nothing to exchange.
class NoHalo : public HaloExchange {
public:
  void forward(NodeRows<double> /*rows*/) override {}

  void forward(NodeRows<float> /*rows*/) override {}

  void reverse(NodeRows<double> /*rows*/) override {}

  void reverse(NodeRows<float> /*rows*/) override {}
};

/// Keeps the larger deviation, and a NaN once there is one.
void take_worst(double& worst, double deviation) {
  if (!(std::abs(deviation) <= worst) && !std::isnan(worst)) {
    worst = std::abs(deviation);
  }
}

} // namespace

SelfTestResult run_self_tests(const ModelSpec& model, Potential& potential) {
  SelfTestResult result;
  NoHalo halo;
  Outputs outputs;
  const bool is_mean_per_atom = model.energy.semantics == EnergySemantics::MeanPerAtom;

  for (const SelfTest& test : model.self_tests) {
    const EdgeList edges =
        reference::edges_of(test.numbers, test.positions, test.cell, model.species, model.cutoff);
    potential.evaluate(edges, halo, outputs);

    const std::size_t n = test.numbers.size();
    const double n_atoms = static_cast<double>(n);
    double energy = 0.0;
    for (std::size_t i = 0; i < n; ++i) {
      energy +=
          is_mean_per_atom
              ? share_of_mean_per_atom(model.energy, edges.species[i], outputs.energy[i], n_atoms)
              : outputs.energy[i];
    }
    std::vector<double> forces(3 * n, 0.0);
    std::array<double, 9> virial{};
    if (model.forces == ForceKind::Direct) {
      forces = outputs.direct_forces;
    } else {
      if (is_mean_per_atom) {
        for (double& gradient : outputs.edge_gradient) {
          gradient *= n_atoms;
        }
      }
      fold_edges(edges, outputs.edge_gradient, forces.data(), virial.data());
    }

    take_worst(result.energy_error, (energy - test.energy) / n_atoms);
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t a = 0; a < 3; ++a) {
        take_worst(result.force_error, forces[3 * i + a] - test.forces[i][a]);
      }
    }
    if (test.virial) {
      for (std::size_t ab = 0; ab < 9; ++ab) {
        take_worst(result.virial_error, (virial[ab] - (*test.virial)[ab]) / n_atoms);
      }
    }
    ++result.n_structures;
  }
  return result;
}

void require_passed(const SelfTestResult& result, const ModelSpec& model, Precision precision) {
  // Rounding and radial tables stay a hundredfold below these; a wrong sign, axis or unit does not.
  const double tolerance = precision == Precision::Double ? 1e-7 : 1e-2;
  if (result.energy_error <= tolerance && result.force_error <= tolerance &&
      result.virial_error <= tolerance) {
    return;
  }
  fail(
      model.file,
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
      ".\nThis build computes something else than the exporter did: run the tests (make test), and "
      "report it.");
}

} // namespace eqnn
