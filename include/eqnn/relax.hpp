// SPDX-License-Identifier: BSD-3-Clause
// Relaxes many structures together. Each has its own optimizer, but the forces of all come from one
// pass.
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

/// Parameters of L-BFGS. Defaults and update rules are ASE's (ase.optimize, version 3.29).
/// Trajectories agree up to rounding.
struct LbfgsOptions {
  std::int32_t memory = 100; ///< number of past steps that build the inverse Hessian
  double damping = 1.0;      ///< factor applied to each step
  double alpha = 70.0;       ///< eV/Angstrom^2, curvature of the initial Hessian
  double max_step = 0.2;     ///< Angstrom, for the atom that moves farthest
};

/// Parameters of FIRE in ASE's plain form, which does not check the energy.
struct FireOptions {
  double dt = 0.1;        ///< initial time step
  double max_step = 0.2;  ///< Angstrom, norm of the step of all atoms together
  double dt_max = 1.0;    ///< largest time step
  std::int32_t n_min = 5; ///< downhill steps before the time step grows
  double f_inc = 1.1;     ///< factor by which the time step grows
  double f_dec = 0.5;     ///< factor by which it shrinks after an uphill step
  double a_start = 0.1;   ///< initial fraction of the velocity turned toward the force
  double f_a = 0.99;      ///< factor by which this fraction shrinks
};

/// The kind of optimizer.
enum class OptimizerKind { Lbfgs, Fire };

/// Accepts "lbfgs" and "fire". Throws Error for anything else.
EQNN_API OptimizerKind optimizer_from_name(std::string_view name);

/// How structures are relaxed, and when a structure counts as exploded.
struct RelaxOptions {
  OptimizerKind optimizer = OptimizerKind::Lbfgs; ///< for each structure
  /// eV/Angstrom. A structure has converged if the force on every atom that can move is smaller
  /// than this. With relax_cell, this also applies to the rows of the force on the cell. This is
  /// ASE's criterion.
  double fmax = 0.05;
  std::int32_t max_steps = 500; ///< for each structure
  /// Whether to relax the cells of structures that have one, too, like ASE's FrechetCellFilter.
  bool relax_cell = false;
  /// A structure has exploded if a force is larger than this, eV/Angstrom, ...
  double exploded_force = 1e4;
  /// ... or an atom has moved farther than this from its initial position, Angstrom, ...
  double exploded_distance = 50.0;
  /// ... or the cell volume has grown or shrunk by more than this factor.
  double exploded_volume = 5.0;
  std::int32_t atoms_at_once = 0; ///< as in BatchOptions
  LbfgsOptions lbfgs;             ///< if the optimizer is Lbfgs
  FireOptions fire;               ///< if the optimizer is Fire
};

/// A structure to relax.
struct RelaxInput {
  Structure structure;             ///< initial positions and cell
  std::vector<std::uint8_t> fixed; ///< [n] nonzero for atoms that do not move; empty: none
};

/// How a relaxation ended.
enum class RelaxStatus {
  Converged,
  MaxSteps,       ///< not converged after max_steps
  NotFinite,      ///< an input coordinate or a result is not finite
  Exploded,       ///< as defined in RelaxOptions
  UnknownElement, ///< the model does not know an element
  Invalid         ///< no atoms, coinciding atoms, a cell without volume, ...
};

/// "converged", "max_steps", "nan", "exploded", "unknown_element", "invalid"
EQNN_API std::string_view name_of(RelaxStatus status);

/// A structure during a relaxation, or at its end.
struct RelaxFrame {
  std::int32_t step = 0; ///< number of steps so far; 0: initial structure
  Structure structure;   ///< positions and cell at this step
  double energy = std::numeric_limits<double>::quiet_NaN(); ///< eV
  std::vector<double> forces; ///< [n, 3] eV/Angstrom, including fixed atoms
  /// eV/Angstrom, the largest force that counts for convergence
  double fmax = std::numeric_limits<double>::quiet_NaN();
};

/// The result for one structure.
struct Relaxed {
  RelaxStatus status = RelaxStatus::Invalid; ///< how the relaxation ended
  std::string reason; ///< what was found, and how to fix it; empty for Converged and MaxSteps
  /// The last frame whose energy could be computed. If there is none, the initial structure, with
  /// energy NaN and no forces.
  RelaxFrame last;
  double first_energy = std::numeric_limits<double>::quiet_NaN(); ///< eV, initial
};

/// Callbacks, each of which may be empty. They run in the thread that called relax().
struct RelaxEvents {
  /// Called once for each structure when it is done, with the index of the input and the result.
  /// Structures may finish in any order. Return false to stop relax().
  std::function<bool(std::size_t input, const Relaxed& relaxed)> finished;
  /// Called for each frame of each structure, including the first and the last. Return false to
  /// stop relax() after the current pass.
  std::function<bool(std::size_t input, const RelaxFrame& frame)> frame;
  /// Called after each pass with the number of finished structures, and the number of
  /// single-structure evaluations so far. Return false to stop relax().
  std::function<bool(std::size_t done, std::size_t all, std::size_t n_evaluations)> progress;
};

/// Relaxes all inputs. As many as atoms_at_once allows are relaxed at the same time. When one is
/// done, the next one starts. Results are bit for bit the same for any atoms_at_once, order of
/// inputs and number of threads. If a structure fails, its result holds the reason, and the others
/// are not affected. @pre the potential was made from this model. Throws Error for options out of
/// range, and for relax_cell with direct forces, which have no virial.
EQNN_API void relax(const Model& model,
                    Potential& potential,
                    const std::vector<RelaxInput>& inputs,
                    const RelaxOptions& options,
                    const RelaxEvents& events);

} // namespace eqnn
