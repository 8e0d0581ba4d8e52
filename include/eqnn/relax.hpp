// SPDX-License-Identifier: BSD-3-Clause
// Relaxes many structures together: each has its own optimizer, and all forces come from one pass.
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

/// The parameters and update rules of ASE (ase.optimize, version 3.29). Trajectories agree to
/// rounding.
struct LbfgsOptions {
  std::int32_t memory = 100; ///< number of steps that the inverse Hessian is made from
  double damping = 1.0;      ///< of each step
  double alpha = 70.0;       ///< eV/Angstrom^2, the curvature that the first step assumes
  double max_step = 0.2;     ///< Angstrom, of the atom that moves farthest
};

/// ASE's FIRE in its plain form, which does not check the energy.
struct FireOptions {
  double dt = 0.1;        ///< time step at the beginning
  double max_step = 0.2;  ///< Angstrom, the norm of the step of all atoms together
  double dt_max = 1.0;    ///< largest time step
  std::int32_t n_min = 5; ///< steps downhill before the time step grows
  double f_inc = 1.1;     ///< factor by which the time step grows
  double f_dec = 0.5;     ///< factor by which it falls after a step uphill
  double a_start = 0.1;   ///< fraction of the velocity that turns towards the force
  double f_a = 0.99;      ///< factor by which this fraction falls
};

/// The kind of optimizer.
enum class OptimizerKind { Lbfgs, Fire };

/// "lbfgs", "fire"; throws Error for anything else.
EQNN_API OptimizerKind optimizer_from_name(std::string_view name);

/// How structures are relaxed, and when one counts as exploded.
struct RelaxOptions {
  OptimizerKind optimizer = OptimizerKind::Lbfgs; ///< of each structure
  /// eV/Angstrom. A structure has converged if no atom has a larger force. With relax_cell, this
  /// also holds for the rows of the cell's force. This is ASE's criterion.
  double fmax = 0.05;
  std::int32_t max_steps = 500; ///< of each structure
  /// Also relax the cells of structures that have one, like ASE's FrechetCellFilter.
  bool relax_cell = false;
  /// A structure has exploded if a force is larger than this, eV/Angstrom, ...
  double exploded_force = 1e4;
  /// ... or an atom has moved farther than this from its start, Angstrom, ...
  double exploded_distance = 50.0;
  /// ... or the volume of the cell has grown or shrunk by this factor.
  double exploded_volume = 5.0;
  std::int32_t atoms_at_once = 0; ///< as in BatchOptions
  LbfgsOptions lbfgs;             ///< where the optimizer is that
  FireOptions fire;               ///< likewise
};

/// A structure to relax.
struct RelaxInput {
  Structure structure;             ///< the start
  std::vector<std::uint8_t> fixed; ///< [n] atoms that do not move where not 0; empty: none
};

/// How a relaxation ended.
enum class RelaxStatus {
  Converged,
  MaxSteps,       ///< forces are still above fmax after the last step
  NotFinite,      ///< an input coordinate or a result
  Exploded,       ///< as defined in RelaxOptions
  UnknownElement, ///< the model does not have it
  Invalid         ///< no atoms, atoms in the same place, a cell without volume, ...
};

/// "converged", "max_steps", "nan", "exploded", "unknown_element", "invalid"
EQNN_API std::string_view name_of(RelaxStatus status);

/// A structure during a relaxation, or at its end.
struct RelaxFrame {
  std::int32_t step = 0; ///< number of steps so far; 0: the start
  Structure structure;   ///< with the cell as it is at this step
  double energy = std::numeric_limits<double>::quiet_NaN(); ///< eV
  std::vector<double> forces; ///< [n, 3] eV/Angstrom, those on fixed atoms too
  /// eV/Angstrom: the largest force that counts for the criterion
  double fmax = std::numeric_limits<double>::quiet_NaN();
};

/// The result for one structure.
struct Relaxed {
  RelaxStatus status = RelaxStatus::Invalid; ///< how its relaxation ended
  std::string reason; ///< what was found, and how to fix it; empty for Converged and MaxSteps
  /// The last frame whose energy could be computed. If there is none, the first frame, with NaN and
  /// no forces.
  RelaxFrame last;
  double first_energy = std::numeric_limits<double>::quiet_NaN(); ///< eV
};

/// Callbacks, each of which may be empty. The thread that called relax() calls them.
struct RelaxEvents {
  /// Called once for each structure when it is done, in the order in which they end, with the
  /// number of the input and its result. Return false to stop relax().
  std::function<bool(std::size_t input, const Relaxed& relaxed)> finished;
  /// Called for each frame of each structure, including the first and the last. Return false to
  /// stop relax() after the pass.
  std::function<bool(std::size_t input, const RelaxFrame& frame)> frame;
  /// Called after each pass with how many structures are done, and how many evaluations of single
  /// structures that took. Return false to stop relax().
  std::function<bool(std::size_t done, std::size_t all, std::size_t n_evaluations)> progress;
};

/// Relaxes all inputs. As many as atoms_at_once allows are relaxed at the same time, and when one
/// is done, the next one starts. Results are the same bit by bit for any atoms_at_once, order and
/// number of threads. If a structure fails, its result has the reason, and the others are not
/// affected. @pre the potential is that of the model. Throws Error for options out of range, and
/// for relax_cell with direct forces, which have no virial.
EQNN_API void relax(const Model& model,
                    Potential& potential,
                    const std::vector<RelaxInput>& inputs,
                    const RelaxOptions& options,
                    const RelaxEvents& events);

} // namespace eqnn
