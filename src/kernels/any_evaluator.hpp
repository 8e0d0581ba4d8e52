// SPDX-License-Identifier: BSD-3-Clause
// A plan on one execution space at one precision, behind one interface. Tests run the same plan on
// all of them.
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

/// The spaces that Kokkos was built with. The one that a Potential uses comes first.
std::vector<Space> available_spaces();
std::string_view name_of(Space space);

/// The first available space on this kind of device. Throws Error if this build has none.
Space space_on(Device device);

/// How the network's own energies become energies of atoms (see engine/energies.hpp), for a device.
struct EnergyOfAtoms {
  std::vector<double> scale;  ///< [n_species]
  std::vector<double> offset; ///< [n_species] eV
  double factor = 1.0;
  bool isolated_atoms_are_zero = false;
};

/// Runs a network step after step: take(), forward() and, if gradients are wanted, reverse(). All
/// ranks make each of these calls together.
class AnyEvaluator {
public:
  virtual ~AnyEvaluator() = default;
  /// Takes the edges of a step and all memory that it needs. The edges must stay in place until the
  /// step is done. Throws Error as require_sound_edges(), std::bad_alloc if memory runs out.
  virtual void take(const EdgeList& edges) = 0;
  /// Writes the network's own energies e_i and its direct forces.
  virtual void forward(HaloExchange& halo, Outputs& outputs) = 0;
  /// Writes the edge gradients. seed: [n_centers] dE/de_i
  virtual void reverse(HaloExchange& halo, const std::vector<double>& seed, Outputs& outputs) = 0;

  // ---- the same with neighbors on the device, where results stay too ----

  /// Copies a host list to the device; valid until the next call. Throws Error for indices that do
  /// not fit.
  virtual NeighborsOnDevice bring(const NeighborsOnHost& neighbors) = 0;
  /// Makes the edges and takes all memory of the step, including that of fold(wanted). Throws Error
  /// if a position is not finite or an edge is too short, without naming the atoms; std::bad_alloc.
  virtual void take(const NeighborsOnDevice& neighbors, std::size_t n_species, Wanted wanted) = 0;
  /// Not for direct forces, which are computed on the host.
  virtual void forward(HaloExchange& halo, const EnergyOfAtoms& meaning) = 0;
  /// Uses the seeds that forward() left.
  virtual void reverse(HaloExchange& halo) = 0;
  /// Whether any energy or, after a reverse pass, any gradient is not finite.
  virtual bool has_bad_results(bool with_gradient) const = 0;
  /// Copies to the host what an error message about bad results needs.
  virtual void look(bool with_gradient, EdgeList& edges, Outputs& outputs) const = 0;
  virtual const ResultsOnDevice& fold(Wanted wanted) = 0;
  /// Copies the results of fold(wanted) to the host.
  virtual void copy_results(Wanted wanted, Observables& observables) const = 0;

  virtual std::size_t bytes_used() const = 0;
  virtual int concurrency() const = 0;
};

/// An evaluation taken apart, for tests: one stage at a time, between rows that the caller sets.
/// Rows are those of owned atoms, block after block, each [components, channels] without padding.
class Probe {
public:
  virtual ~Probe() = default;
  virtual void begin_forward(const EdgeList& edges) = 0;
  virtual void forward(std::size_t stage) = 0;
  /// seed: dE/d(energy of the network) [n_centers]
  virtual void begin_adjoint(const std::vector<double>& seed) = 0;
  virtual void adjoint(std::size_t stage) = 0;
  /// dE/d(edge vector), [n_edges, 3]; called last
  virtual std::vector<double> edge_gradient() = 0;
  virtual std::vector<double> energy() const = 0;
  virtual std::vector<double> direct_forces() const = 0;
  virtual void set(plan::ValueId v, bool adjoint, const std::vector<double>& rows) = 0;
  virtual std::vector<double> get(plan::ValueId v, bool adjoint) const = 0;
};

/// Takes the plan. Its tables are freed one by one as they are moved to where the model runs.
/// plan_options() gives the channel padding and table accuracy that a plan needs for this
/// precision.
std::unique_ptr<AnyEvaluator> make_evaluator(plan::Plan plan, Precision precision, Space space);

std::unique_ptr<Probe> make_probe(plan::Plan plan, Precision precision, Space space);

/// Starts Kokkos unless it is already running. gpu_number: as in PotentialOptions. Throws Error if
/// this build needs a GPU and finds none. Kokkos is not stopped before the process ends: it cannot
/// be started twice, and the next model may come at any time.
void start_kokkos(int n_threads, int gpu_number = -1);

} // namespace eqnn::kernels
