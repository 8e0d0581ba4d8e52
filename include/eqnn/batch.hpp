// SPDX-License-Identifier: BSD-3-Clause
// Many structures in one call: packed one after another, evaluated on all threads.
#pragma once

#include "eqnn/export.h"
#include "eqnn/model.hpp"
#include "eqnn/observables.hpp"
#include "eqnn/potential.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace eqnn {

/// A molecule, or a cell that is periodic in all three directions.
struct Structure {
  std::vector<std::int32_t> numbers;            ///< [n] atomic numbers
  std::vector<std::array<double, 3>> positions; ///< [n] Angstrom
  std::optional<std::array<double, 9>> cell;    ///< rows are lattice vectors, Angstrom
};

/// Why a structure has no result.
enum class Failure {
  None,
  UnknownElement, ///< the model does not have it
  NotFinite,      ///< an input coordinate or a result
  Invalid         ///< no atoms, atoms in the same place, a cell without volume, ...
};

/// "ok", "unknown_element", "nan", "invalid"
EQNN_API std::string_view name_of(Failure failure);

/// The result for one structure. If it did not fail, the numbers are those that it would get alone,
/// bit by bit.
struct StructureResult {
  Failure failure = Failure::None; ///< why there is no result
  std::string reason;              ///< what was found, what was expected, the cure; empty for None
  double energy = 0.0;             ///< eV; NaN after a failure
  std::vector<double> atom_energy; ///< [n] eV; empty after a failure, like forces
  std::vector<double> forces;      ///< [n, 3] eV/Angstrom
  /// [3, 3] eV, as in Observables. NaN for direct forces and after a failure.
  std::array<double, 9> virial{};
};

/// Called after each pass with how many structures are done. Return false to stop.
using Progress = std::function<bool(std::size_t done, std::size_t all)>;

/// Options of evaluate_structures().
struct BatchOptions {
  Wanted wanted; ///< virials of atoms are not computed
  /// The most atoms of one pass, unless a single structure is larger. 0: enough to keep all threads
  /// busy. It changes time and memory, but no result.
  std::int32_t atoms_at_once = 0;
  Progress progress; ///< may be empty
};

/// Returns one result for each structure, in the same order. If a structure fails, its result has
/// the reason, and the others are not affected. If `progress` returned false, returns the results
/// so far. @pre the potential is that of the model. Throws std::bad_alloc if there is no memory for
/// the results themselves.
EQNN_API std::vector<StructureResult> evaluate_structures(const Model& model,
                                                          Potential& potential,
                                                          const std::vector<Structure>& structures,
                                                          const BatchOptions& options = {});

} // namespace eqnn
