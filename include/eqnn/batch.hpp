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
  UnknownElement, ///< the model does not know it
  NotFinite,      ///< a coordinate that is given, or a result
  Invalid         ///< no atoms, atoms at one place, a cell without volume, ...
};

/// "ok", "unknown_element", "nan", "invalid"
EQNN_API std::string_view name_of(Failure failure);

/// Of one structure. Without a failure, numbers are what the structure would get alone, bit by bit.
struct StructureResult {
  Failure failure = Failure::None; ///< why there is no result
  std::string reason;              ///< what was found, what was expected, the cure; empty for None
  double energy = 0.0;             ///< eV; NaN where there is a failure
  std::vector<double> atom_energy; ///< [n] eV; empty where there is a failure, as what follows
  std::vector<double> forces;      ///< [n, 3] eV/Angstrom
  /// [3, 3] eV, as in Observables. NaN for direct forces and where there is a failure.
  std::array<double, 9> virial{};
};

/// Is told how many of all are done, after each pass; false ends the call there.
using Progress = std::function<bool(std::size_t done, std::size_t all)>;

/// Options of evaluate_structures().
struct BatchOptions {
  Wanted wanted; ///< virials of atoms are not computed
  /// Atoms of one pass, at most, but for structures that are larger; 0: as many as keep all threads
  /// busy. Changes the time and the memory, and no result.
  std::int32_t atoms_at_once = 0;
  Progress progress; ///< may be empty
};

/// One result for each structure, in their order. A structure without one says why, and stops none
/// of the others. Where `progress` returned false, the results so far. @pre the potential is that
/// of the model. Throws std::bad_alloc for want of memory for the results themselves.
EQNN_API std::vector<StructureResult> evaluate_structures(const Model& model,
                                                          Potential& potential,
                                                          const std::vector<Structure>& structures,
                                                          const BatchOptions& options = {});

} // namespace eqnn
