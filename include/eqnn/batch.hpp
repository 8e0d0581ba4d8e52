// SPDX-License-Identifier: BSD-3-Clause
// Evaluates many structures in one call. They are packed one after another and share all threads.
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
  UnknownElement, ///< the model does not know an element
  NotFinite,      ///< an input coordinate or a result is not finite
  Invalid         ///< no atoms, coinciding atoms, a cell without volume, ...
};

/// "ok", "unknown_element", "nan", "invalid"
EQNN_API std::string_view name_of(Failure failure);

/// The result for one structure. If it did not fail, the numbers are bit for bit the same as for
/// the structure alone.
struct StructureResult {
  Failure failure = Failure::None; ///< why there is no result
  std::string reason;              ///< what was found, what was expected, the fix; empty for None
  double energy = 0.0;             ///< eV; NaN after a failure
  std::vector<double> atom_energy; ///< [n] eV; empty after a failure
  std::vector<double> forces;      ///< [n, 3] eV/Angstrom; empty after a failure
  /// [3, 3] eV, as in Observables. NaN for direct forces and after a failure.
  std::array<double, 9> virial{};
};

/// Called after each pass with the number of finished structures. Return false to stop.
using Progress = std::function<bool(std::size_t done, std::size_t all)>;

/// Options of evaluate_structures().
struct BatchOptions {
  Wanted wanted; ///< atom_virial is ignored
  /// Largest number of atoms in one pass, unless a single structure is larger. 0: enough to keep
  /// all threads busy. It affects time and memory, but not the results.
  std::int32_t atoms_at_once = 0;
  Progress progress; ///< may be empty
};

/// Returns one result for each structure, in the same order. If a structure fails, its result holds
/// the reason, and the others are not affected. If `progress` returns false, returns the results so
/// far. @pre the potential was made from this model. Throws std::bad_alloc if there is no memory
/// for the results themselves.
EQNN_API std::vector<StructureResult> evaluate_structures(const Model& model,
                                                          Potential& potential,
                                                          const std::vector<Structure>& structures,
                                                          const BatchOptions& options = {});

} // namespace eqnn
