// SPDX-License-Identifier: BSD-3-Clause
// A model at one precision, ready for evaluation: edges in, observables out.
#pragma once

#include "eqnn/device.hpp"
#include "eqnn/edges.hpp"
#include "eqnn/export.h"
#include "eqnn/halo.hpp"
#include "eqnn/model.hpp"
#include "eqnn/observables.hpp"
#include "eqnn/on_device.hpp"
#include "eqnn/precision.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace eqnn {

/// The zero of energies.
enum class EnergyZero {
  Model,    ///< the zero of the training data
  FreeAtoms ///< single atoms without neighbors
};

/// A cache of radial tables. Potentials of the same file can share it, also with models made by
/// with_species().
struct TableCache;

/// Returns an empty cache for the options of several potentials.
EQNN_API std::shared_ptr<TableCache> make_table_cache();

/// How a model is computed.
struct PotentialOptions {
  Precision precision = Precision::Double; ///< of features and weights
  Device device = Device::Auto;            ///< the CPU or a GPU
  /// Index of the GPU, modulo the number of GPUs. -1: Kokkos chooses by the rank on the node, which
  /// it learns from the MPI launcher. The first Potential in a process decides, as for n_threads.
  int gpu_number = -1;
  /// Number of threads. 0: OMP_NUM_THREADS, or one if that is not set. The first Potential in a
  /// process decides, and later ones use the same number. Potential::n_threads() returns it.
  int n_threads = 0;
  EnergyZero energy_zero = EnergyZero::Model; ///< zero of Observables::atom_energy
  /// How products of functions on the sphere are computed: "sparse", "grid" or "fourier". Empty:
  /// the fastest method according to our measurements.
  std::string products;
  /// How convolutions of such functions along edges are computed: "sparse", "aligned" or, for the
  /// default, empty.
  std::string convolutions;
  /// How factorized couplings are computed: "matrix", "cp", "node" or, for the default, empty.
  std::string couplings;
  /// A cache of radial tables, or null. Computing the tables takes most of the construction time.
  /// The constructor takes tables from the cache and adds new ones. The potential does not keep the
  /// cache.
  std::shared_ptr<TableCache> table_cache;
};

/// Returns the name. Throws Error if it is not a value of PotentialOptions::products.
EQNN_API std::string products_from_name(std::string_view name);

/// Returns the name. Throws Error if it is not a value of PotentialOptions::convolutions.
EQNN_API std::string convolutions_from_name(std::string_view name);

/// Returns the name. Throws Error if it is not a value of PotentialOptions::couplings.
EQNN_API std::string couplings_from_name(std::string_view name);

/// A compiled model. Construction takes time, because it computes tables. After the first call,
/// evaluate() allocates memory only for steps that are larger than all before. Do not use it from
/// several threads at once: an evaluation uses all threads itself.
class EQNN_API Potential {
public:
  /// Throws Error for an unknown name of products, convolutions or couplings, for
  /// EnergyZero::FreeAtoms if the model's energy is a mean per atom, and for a radial function that
  /// varies too fast for a table. Throws std::bad_alloc if memory does not suffice.
  explicit Potential(const Model& model, const PotentialOptions& options = {});
  ~Potential();
  Potential(Potential&&) noexcept;
  Potential& operator=(Potential&&) noexcept;
  Potential(const Potential&) = delete;
  Potential& operator=(const Potential&) = delete;

  /// All ranks must call it together, including ranks without atoms, because each uses halo the
  /// same number of times. If the call fails on one rank, throws Error on all. It fails if the
  /// edges are inconsistent (require_sound_edges()), do not fit the model or belong to several
  /// structures, if a result is not finite, or if memory does not suffice. The potential can still
  /// be used afterwards. The result is valid until the next call.
  const Observables& evaluate(const EdgeList& edges, HaloExchange& halo, Wanted wanted = {});

  /// The same for edges without ghosts, such as those from edges_of(). Throws Error if there are
  /// ghosts.
  const Observables& evaluate(const EdgeList& edges, Wanted wanted = {});

  /// Evaluates structures that are packed one after another (EdgeList::structures) in one pass on
  /// all threads. The result of each structure is bit for bit the same as for the structure alone,
  /// with any number of threads. If a result is not finite, PackedObservables::failure of that
  /// structure says so, and the others are not affected. Throws Error if the edges are inconsistent
  /// or do not fit the model, or if memory does not suffice. The result is valid until the next
  /// call.
  const PackedObservables& evaluate_each(const EdgeList& edges, Wanted wanted = {});

  /// Like evaluate(), for a neighbor list in the memory of the device that runs the model. Forces
  /// and per-atom virials stay there. Throws Error for models with direct forces. If a position or
  /// an edge is bad, the Error does not name the atoms.
  const ResultsOnDevice&
  evaluate(const NeighborsOnDevice& neighbors, HaloExchange& halo, Wanted wanted);

  /// The same for lists on the host. Results are copied back. In most steps, only positions,
  /// species and results are copied between host and device. Throws Error for indices out of range.
  const Observables& evaluate(const NeighborsOnHost& neighbors, HaloExchange& halo, Wanted wanted);

  /// [n_species] eV: the energy of a single atom of each species without neighbors. It includes the
  /// reference energies, for any EnergyZero. Invalidates earlier results of evaluate().
  std::vector<double> free_atom_energies();

  /// The energy zero given in the options.
  EnergyZero energy_zero() const;
  /// Whether the model runs on a GPU, with memory separate from the host's.
  bool is_on_gpu() const;
  /// The largest number of scalars in a row that is passed to a HaloExchange.
  std::int32_t max_row_width() const;
  /// Whether PotentialOptions::products matters for this model.
  bool has_products() const;
  /// Whether PotentialOptions::convolutions matters for this model.
  bool has_convolutions() const;
  /// Whether PotentialOptions::couplings matters for this model.
  bool has_factored_couplings() const;
  /// The number of threads that an evaluation uses.
  int n_threads() const;
  /// The memory that buffers, tables and results use now, bytes.
  std::size_t bytes_used() const;
  /// A short text for a log: execution space, threads, precision, tables and their error.
  std::string description() const;
  /// The execution plan, with a line for each table and each stage. For display only: the format
  /// may change.
  const std::string& plan() const;

private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

} // namespace eqnn
