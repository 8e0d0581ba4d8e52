// SPDX-License-Identifier: BSD-3-Clause
// Many structures relaxed together: each with an optimizer of its own, all forces in one pass.
#pragma once

#include "eqnn/batch.hpp"
#include "eqnn/export.h"
#include "eqnn/model.hpp"
#include "eqnn/potential.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace eqnn {

/// ASE's parameters and update rules (ase.optimize, version 3.29): the same trajectory, up to
/// rounding.
struct LbfgsOptions {
  std::int32_t memory = 100; ///< steps that the inverse Hessian is made of
  double damping = 1.0;      ///< of each step
  double alpha = 70.0;       ///< eV/Angstrom^2, the curvature that the first step assumes
  double max_step = 0.2;     ///< Angstrom, of the atom that moves farthest
};

/// As LbfgsOptions. ASE's FIRE in its plain form: no check of the energy.
struct FireOptions {
  double dt = 0.1;        ///< time step at the beginning
  double max_step = 0.2;  ///< Angstrom, the norm of the step of all atoms together
  double dt_max = 1.0;    ///< largest time step
  std::int32_t n_min = 5; ///< steps downhill before the time step grows
  double f_inc = 1.1;     ///< by which the time step grows
  double f_dec = 0.5;     ///< and falls when a step led uphill
  double a_start = 0.1;   ///< how much of the velocity turns towards the force
  double f_a = 0.99;      ///< by which that falls
};

/// What makes the steps.
enum class OptimizerKind { Lbfgs, Fire };

/// "lbfgs", "fire"; throws Error for anything else.
EQNN_API OptimizerKind optimizer_from_name(std::string_view name);

/// How structures are relaxed, and when one has exploded.
struct RelaxOptions {
  OptimizerKind optimizer = OptimizerKind::Lbfgs; ///< of each structure
  /// eV/Angstrom; converged is a structure of which no atom, and with relax_cell no row of the
  /// cell's force, has more. ASE's criterion.
  double fmax = 0.05;
  std::int32_t max_steps = 500; ///< of each structure
  /// The cells of structures that have one are relaxed too, as ASE's FrechetCellFilter does.
  bool relax_cell = false;
  /// A structure has exploded when a force is larger, eV/Angstrom, ...
  double exploded_force = 1e4;
  /// ... an atom has gone farther from where it began, Angstrom, ...
  double exploded_distance = 50.0;
  /// ... or the volume of the cell has changed by this factor, either way.
  double exploded_volume = 5.0;
  std::int32_t atoms_at_once = 0; ///< as in BatchOptions
  LbfgsOptions lbfgs;             ///< where the optimizer is that
  FireOptions fire;               ///< likewise
};

/// A structure to relax.
struct RelaxInput {
  Structure structure;             ///< where it begins
  std::vector<std::uint8_t> fixed; ///< [n] atoms that do not move where not 0; empty: none
};

/// How a relaxation ended.
enum class RelaxStatus {
  Converged,
  MaxSteps,       ///< forces are still above fmax after the last step
  NotFinite,      ///< a coordinate that is given, or a result
  Exploded,       ///< RelaxOptions says what that is
  UnknownElement, ///< the model does not know it
  Invalid         ///< no atoms, atoms at one place, a cell without volume, ...
};

/// "converged", "max_steps", "nan", "exploded", "unknown_element", "invalid"
EQNN_API std::string_view name_of(RelaxStatus status);

/// A structure on its way, or at the end of it.
struct RelaxFrame {
  std::int32_t step = 0; ///< steps that led here; 0: the beginning
  Structure structure;   ///< with the cell as it is at this step
  double energy = std::numeric_limits<double>::quiet_NaN(); ///< eV
  std::vector<double> forces; ///< [n, 3] eV/Angstrom, those on fixed atoms too
  /// eV/Angstrom: the largest force that the criterion looks at
  double fmax = std::numeric_limits<double>::quiet_NaN();
};

/// What became of a structure.
struct Relaxed {
  RelaxStatus status = RelaxStatus::Invalid; ///< how its relaxation ended
  std::string reason; ///< of every status but Converged and MaxSteps: what was found, and the cure
  /// Of the last structure whose energy could be computed; of the first where none could, with NaN
  /// and no forces.
  RelaxFrame last;
  double first_energy = std::numeric_limits<double>::quiet_NaN(); ///< eV
};

/// What becomes of the structures; each may be empty. Called by the thread that called relax().
struct RelaxEvents {
  /// A structure is done: the number of the input, and what became of it. Each once, in the order
  /// in which they end. False ends relax() there.
  std::function<bool(std::size_t input, const Relaxed& relaxed)> finished;
  /// Each frame of each structure, the first and the last among them. False ends relax() after the
  /// pass.
  std::function<bool(std::size_t input, const RelaxFrame& frame)> frame;
  /// After each pass: how many are done, and how many evaluations of one structure that took.
  /// False ends relax() there.
  std::function<bool(std::size_t done, std::size_t all, std::size_t n_evaluations)> progress;
};

/// Relaxes them all: as many as atoms_at_once allows are on their way together, and whatever is
/// done makes room for the next at once. Neither that number nor the order or the number of threads
/// changes a bit of a result. One that fails has its reason, and stops none of the others. @pre the
/// potential is that of the model. Throws Error for options that make no sense, and for relax_cell
/// with direct forces, which have no virial.
EQNN_API void relax(const Model& model,
                    Potential& potential,
                    const std::vector<RelaxInput>& inputs,
                    const RelaxOptions& options,
                    const RelaxEvents& events);

} // namespace eqnn
