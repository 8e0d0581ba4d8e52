// SPDX-License-Identifier: BSD-3-Clause
// relax MODEL.eqnn > relaxed.xyz
// Moves the atoms of the molecule that travels in a model file until no force is above 0.01 eV/Angstrom.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <eqnn/eqnn.hpp>
#include <vector>

int main(int argc, char** argv) try {
  const eqnn::Model model = eqnn::Model::open(argc > 1 ? argv[1] : "model.eqnn");
  eqnn::Potential potential(model);
  const std::vector<std::int32_t> numbers = model.self_tests().at(0).numbers;
  std::vector<std::array<double, 3>> x = model.self_tests().at(0).positions;
  std::vector<double> v(3 * x.size(), 0.0); // FIRE: downhill with inertia, at rest where it went up
  double step = 0.05;
  for (int n_steps = 0; n_steps < 2000; ++n_steps) {
    const eqnn::EdgeList edges =
        eqnn::edges_of(numbers, x, std::nullopt, model.species(), model.cutoff());
    const eqnn::Observables& found = potential.evaluate(edges);
    const std::vector<double>& f = found.forces;
    double largest = 0.0, power = 0.0, ff = 0.0, vv = 0.0;
    for (std::size_t k = 0; k < v.size(); ++k) {
      largest = std::max(largest, std::hypot(f[k - k % 3], f[k - k % 3 + 1], f[k - k % 3 + 2]));
      power += f[k] * v[k];
      ff += f[k] * f[k];
      vv += v[k] * v[k];
    }
    if (largest < 0.01) {
      std::printf("%zu\nProperties=Z:I:1:pos:R:3 energy=%.12g\n", x.size(), found.energy);
      for (std::size_t i = 0; i < x.size(); ++i) {
        std::printf("%d %.12f %.12f %.12f\n", numbers[i], x[i][0], x[i][1], x[i][2]);
      }
      std::fprintf(stderr, "%d steps, largest force %.4f eV/Angstrom\n", n_steps, largest);
      return 0;
    }
    step = power > 0.0 ? std::min(1.05 * step, 0.2) : 0.5 * step;
    for (std::size_t k = 0; k < v.size(); ++k) {
      v[k] = (power > 0.0 ? 0.9 * v[k] + 0.1 * std::sqrt(vv / ff) * f[k] : 0.0) + step * f[k];
      x[k / 3][k % 3] += std::clamp(step * v[k], -0.1, 0.1);
    }
  }
  std::fprintf(stderr, "relax: forces are above 0.01 eV/Angstrom after 2000 steps\n");
  return 1;
} catch (const std::exception& error) {

  std::fprintf(stderr, "relax: %s\n", error.what());
  return 1;
}
