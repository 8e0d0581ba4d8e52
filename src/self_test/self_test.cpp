// SPDX-License-Identifier: BSD-3-Clause
#include "self_test/self_test.hpp"

#include "base/error.hpp"
#include "engine/fold_edges.hpp"
#include "eqnn/neighbors.hpp"
#include "model/energy_semantics.hpp"

#include <array>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

namespace eqnn {
namespace {

/// Keeps the larger deviation, and a NaN once there is one.
void take_worst(double& worst, double deviation) {
  if (!(std::abs(deviation) <= worst) && !std::isnan(worst)) {
    worst = std::abs(deviation);
  }
}

} // namespace

Properties properties_of(const ModelSpec& model, const EdgeList& edges, Outputs outputs) {
  Properties out;
  const auto n_atoms = static_cast<double>(edges.n_centers);
  if (model.energy.semantics == EnergySemantics::MeanPerAtom) {
    for (std::size_t i = 0; i < outputs.energy.size(); ++i) {
      outputs.energy[i] =
          share_of_mean_per_atom(model.energy, edges.species[i], outputs.energy[i], n_atoms);
    }
    for (double& gradient : outputs.edge_gradient) {
      gradient *= n_atoms;
    }
  }
  out.energy = std::accumulate(outputs.energy.begin(), outputs.energy.end(), 0.0);
  out.atom_energy = std::move(outputs.energy);
  if (model.forces == ForceKind::Direct) {
    out.forces = std::move(outputs.direct_forces);
  } else {
    out.forces.assign(3 * static_cast<std::size_t>(edges.n_centers), 0.0);
    fold_edges(edges, outputs.edge_gradient, out.forces.data(), out.virial.data());
  }
  return out;
}

SelfTestResult run_self_tests(const ModelSpec& model,
                              const std::function<Outputs(const EdgeList&)>& evaluate) {
  SelfTestResult result;
  for (const SelfTest& test : model.self_tests) {
    const EdgeList edges =
        edges_of(test.numbers, test.positions, test.cell, model.species, model.cutoff);
    const Properties found = properties_of(model, edges, evaluate(edges));
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

SelfTestResult run_self_tests(const ModelSpec& model, Potential& potential) {
  return run_self_tests(model,
                        [&](const EdgeList& edges) { return evaluate_alone(potential, edges); });
}

std::vector<double> free_atom_energies(const ModelSpec& model, Potential& potential) {
  EdgeList edges;
  edges.n_centers = edges.n_nodes = static_cast<std::int32_t>(model.species.size());
  edges.species.resize(model.species.size());
  std::iota(edges.species.begin(), edges.species.end(), 0);
  edges.begin.assign(model.species.size() + 1, 0);
  return evaluate_alone(potential, edges).energy;
}

Outputs evaluate_alone(Potential& potential, const EdgeList& edges) {
  NoHalo halo;
  Outputs outputs;
  potential.evaluate(edges, halo, outputs);
  return outputs;
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
