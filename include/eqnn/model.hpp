// SPDX-License-Identifier: BSD-3-Clause
// What a model file says, in the words of those who use it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace eqnn {

enum class EnergySemantics {
  Extensive,
  MeanPerAtom ///< meaningless for other numbers of atoms than the model was trained on
};

enum class ForceKind {
  Gradient,
  Direct ///< not the derivative of the energy: it is not conserved, and there is no virial
};

/// A structure that travels in a model file, with what the exporter computed for it.
struct SelfTest {
  std::string name;
  std::vector<std::int32_t> numbers;            ///< [n] atomic numbers
  std::vector<std::array<double, 3>> positions; ///< [n] Angstrom
  std::optional<std::array<double, 9>> cell;    ///< rows are lattice vectors, Angstrom
  double energy = 0.0;                          ///< eV
  std::vector<std::array<double, 3>> forces;    ///< [n] eV/Angstrom
  std::optional<std::array<double, 9>> virial;  ///< eV, as in Observables
};

} // namespace eqnn
