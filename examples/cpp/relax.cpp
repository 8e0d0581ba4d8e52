// SPDX-License-Identifier: BSD-3-Clause
// relax MODEL.eqnn > relaxed.xyz
// Moves the atoms of the molecule that travels in a model file until no force is above
// 0.01 eV/Angstrom, by steps as long as the curvature along the last one says (Barzilai, Borwein).
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <eqnn/eqnn.hpp>
#include <exception>
#include <vector>

int main(int argc, char** argv) try {
  const eqnn::Model model = eqnn::Model::open(argc > 1 ? argv[1] : "model.eqnn");
  if (model.self_tests().empty()) {
    throw eqnn::Error(model.file() + " carries no structure. Add one: eqnn export does.");
  }
  const eqnn::SelfTest& molecule = model.self_tests().front();
  eqnn::Potential potential(model);
  std::vector<std::array<double, 3>> x = molecule.positions;
  std::vector<double> moved(3 * x.size()), before(3 * x.size());
  for (int n_steps = 0; n_steps < 2000; ++n_steps) {
    const eqnn::Observables& found = potential.evaluate(
        eqnn::edges_of(molecule.numbers, x, molecule.cell, model.species(), model.cutoff()));
    const std::vector<double>& f = found.forces;
    double largest = 0.0, length = 0.0, curvature = 0.0;
    for (std::size_t k = 0; k < f.size(); ++k) {
      largest = std::max(largest, std::hypot(f[k - k % 3], f[k - k % 3 + 1], f[k - k % 3 + 2]));
      length += moved[k] * moved[k];
      curvature += moved[k] * (before[k] - f[k]);
    }
    if (largest < 0.01) {
      std::printf("%zu\nProperties=Z:I:1:pos:R:3 energy=%.12g\n", x.size(), found.energy);
      for (std::size_t i = 0; i < x.size(); ++i) {
        std::printf("%d %.12f %.12f %.12f\n", molecule.numbers[i], x[i][0], x[i][1], x[i][2]);
      }
      std::fprintf(stderr, "%d steps, largest force %.4f eV/Angstrom\n", n_steps, largest);
      return 0;
    }
    const double step = n_steps == 0 ? 0.01 : std::abs(length / curvature);
    for (std::size_t k = 0; k < f.size(); ++k) {
      moved[k] = std::clamp(step * f[k], -0.1, 0.1);
      x[k / 3][k % 3] += moved[k];
    }
    before = f;
  }
  throw eqnn::Error("forces are above 0.01 eV/Angstrom after 2000 steps. Try another model.");
} catch (const std::exception& error) {

  std::fprintf(stderr, "relax: %s\n", error.what());
  return 1;
}
