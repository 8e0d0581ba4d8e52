// SPDX-License-Identifier: BSD-3-Clause
#include "reference/self_test.hpp"

#include "reference/evaluate.hpp"
#include "reference/structure.hpp"

#include <cmath>

namespace eqnn::reference {
namespace {

/// The larger error; a NaN wins over everything.
void raise(double& largest, double error) { largest = (std::isnan(error) || error > largest) ? error : largest; }

} // namespace

Evaluation evaluate_reference(const ModelSpec& model, const EdgeList& edges) {
  const Result result = evaluate(model, edges);
  Evaluation out;
  out.energy = result.atom_energy;
  for (const auto& g : result.edge_gradient) {
    out.edge_gradient.insert(out.edge_gradient.end(), g.begin(), g.end());
  }
  for (const auto& f : result.direct_forces) {
    out.direct_forces.insert(out.direct_forces.end(), f.begin(), f.end());
  }
  return out;
}

Properties properties_of(const ModelSpec& model, const EdgeList& edges, const Evaluation& evaluation) {
  Properties out;
  const auto n = static_cast<std::size_t>(edges.n_centers);
  const double factor = model.energy.semantics == EnergySemantics::MeanPerAtom ? static_cast<double>(n) : 1.0;
  for (std::size_t i = 0; i < n; ++i) {
    const double constant = model.energy.shift + model.energy.reference[static_cast<std::size_t>(edges.species[i])];
    out.energy += factor * (evaluation.energy[i] - constant) + constant;
  }
  out.forces = evaluation.direct_forces;
  if (model.forces == ForceKind::Direct) {
    return out;
  }
  out.forces.assign(3 * n, 0.0);
  for (std::size_t i = 0; i < n; ++i) {
    for (auto e = static_cast<std::size_t>(edges.begin[i]); e < static_cast<std::size_t>(edges.begin[i + 1]); ++e) {
      const auto j = static_cast<std::size_t>(edges.source[e]);
      for (std::size_t a = 0; a < 3; ++a) {
        const double g = factor * evaluation.edge_gradient[3 * e + a];
        out.forces[3 * i + a] += g;
        out.forces[3 * j + a] -= g;
        for (std::size_t b = 0; b < 3; ++b) {
          out.virial[3 * b + a] -= edges.vector[3 * e + b] * g;
        }
      }
    }
  }
  return out;
}

SelfTestErrors self_test(const ModelSpec& model, const std::function<Evaluation(const EdgeList&)>& evaluate) {
  SelfTestErrors errors;
  for (const SelfTest& test : model.self_tests) {
    const EdgeList edges = edges_of(test.numbers, test.positions, test.cell, model.species, model.cutoff);
    const Properties found = properties_of(model, edges, evaluate(edges));
    raise(errors.energy, std::abs(found.energy - test.energy));
    for (std::size_t i = 0; i < test.forces.size(); ++i) {
      for (std::size_t a = 0; a < 3; ++a) {
        raise(errors.force, std::abs(found.forces[3 * i + a] - test.forces[i][a]));
      }
    }
    if (test.virial) {
      for (std::size_t k = 0; k < 9; ++k) {
        raise(errors.virial, std::abs(found.virial[k] - (*test.virial)[k]));
      }
    }
    ++errors.n_structures;
  }
  return errors;
}

} // namespace eqnn::reference
