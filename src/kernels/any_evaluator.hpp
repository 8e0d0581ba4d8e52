// SPDX-License-Identifier: BSD-3-Clause
// A plan on some execution space at some precision, behind one interface. Tests run the same plan
// on all of them.
#pragma once

#include "base/edge_list.hpp"
#include "eqnn/device.hpp"
#include "eqnn/halo.hpp"
#include "eqnn/observables.hpp"
#include "eqnn/on_device.hpp"
#include "eqnn/precision.hpp"
#include "plan/plan.hpp"

#include <memory>
#include <string>
#include <vector>

namespace eqnn::kernels {

enum class Space { Serial, OpenMP, Cuda };

/// Those that Kokkos was built with; the one that a Potential uses comes first.
std::vector<Space> available_spaces();
std::string_view name_of(Space space);

/// The first of the available ones that is such a device. Throws Error where this build has none.
Space space_on(Device device);

/// How the network's own energies become those of atoms, as engine/energies.hpp says it, for a device.
struct EnergyOfAtoms {
  std::vector<double> scale;  ///< [n_species]
  std::vector<double> offset; ///< [n_species] eV
  double factor = 1.0;
  bool isolated_atoms_are_zero = false;
};

/// A network, for one step after another: take(), forward() and, where gradients are wanted, reverse().
/// All ranks call each of them together.
class AnyEvaluator {
public:
  virtual ~AnyEvaluator() = default;
  /// Brings the edges of a step, and all memory that it needs. The edges stay where they are until the
  /// step is done. Throws Error as require_sound_edges(), std::bad_alloc for want of memory.
  virtual void take(const EdgeList& edges) = 0;
  /// Writes the network's own energies e_i and direct forces.
  virtual void forward(HaloExchange& halo, Outputs& outputs) = 0;
  /// Writes the edge gradients. seed: [n_centers] dE/de_i
  virtual void reverse(HaloExchange& halo, const std::vector<double>& seed, Outputs& outputs) = 0;

  // ---- the same where neighbors are on the device, and results stay there ----

  /// Brings a list of the host there, until the next call. Throws Error for indices that do not fit.
  virtual NeighborsOnDevice bring(const NeighborsOnHost& neighbors) = 0;
  /// Makes the edges, and takes all memory of the step, that of fold(wanted) too. Throws Error, without
  /// saying of which atoms, where a position is not finite or an edge too short; std::bad_alloc.
  virtual void take(const NeighborsOnDevice& neighbors, std::size_t n_species, Wanted wanted) = 0;
  /// Not for direct forces, which the host makes.
  virtual void forward(HaloExchange& halo, const EnergyOfAtoms& meaning) = 0;
  /// With the seeds that forward() left.
  virtual void reverse(HaloExchange& halo) = 0;
  /// Whether energies and, of a pass in reverse, gradients are numbers.
  virtual bool has_bad_results(bool with_gradient) const = 0;
  /// Brings to the host what a message about them needs.
  virtual void look(bool with_gradient, EdgeList& edges, Outputs& outputs) const = 0;
  virtual const ResultsOnDevice& fold(Wanted wanted) = 0;
  /// Copies what fold(wanted) gave to the host.
  virtual void copy_results(Wanted wanted, Observables& observables) const = 0;

  virtual std::size_t bytes_used() const = 0;
  virtual int concurrency() const = 0;
};

/// An evaluation taken apart, for tests: one stage at a time, between rows that the caller sets. Rows are
/// those of owned atoms, each block after block [components, channels] without padding.
class Probe {
public:
  virtual ~Probe() = default;
  virtual void begin_forward(const EdgeList& edges) = 0;
  virtual void forward(std::size_t stage) = 0;
  /// seed: dE/d(energy of the network) [n_centers]
  virtual void begin_adjoint(const std::vector<double>& seed) = 0;
  virtual void adjoint(std::size_t stage) = 0;
  /// dE/d(edge vector) [n_edges, 3], last of all
  virtual std::vector<double> edge_gradient() = 0;
  virtual std::vector<double> energy() const = 0;
  virtual std::vector<double> direct_forces() const = 0;
  virtual void set(plan::ValueId v, bool adjoint, const std::vector<double>& rows) = 0;
  virtual std::vector<double> get(plan::ValueId v, bool adjoint) const = 0;
};

/// Takes the plan: its tables are freed one after another, as they come to where the model runs.
/// The channel padding and the table accuracy that a plan for this precision needs are those of
/// plan_options().
std::unique_ptr<AnyEvaluator> make_evaluator(plan::Plan plan, Precision precision, Space space);

std::unique_ptr<Probe> make_probe(plan::Plan plan, Precision precision, Space space);

/// Starts Kokkos if nobody did, gpu_number: as PotentialOptions. Throws Error where this build needs a
/// GPU and finds none. It is not stopped before the process ends: it cannot be started twice,
/// and the next model may come at any time.
void start_kokkos(int n_threads, int gpu_number = -1);

} // namespace eqnn::kernels
