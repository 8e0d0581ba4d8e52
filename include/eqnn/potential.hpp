// SPDX-License-Identifier: BSD-3-Clause
// A model at one precision, ready to be evaluated: edges in, observables out.
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

/// What energies are relative to.
enum class EnergyZero {
  Model,    ///< that of the data that the model was trained on
  FreeAtoms ///< atoms without neighbors
};

/// Radial tables, shared by potentials of one file, or of models made from it by with_species().
struct TableCache;

/// Returns an empty cache, to put into the options of several potentials.
EQNN_API std::shared_ptr<TableCache> make_table_cache();

/// How a model is computed.
struct PotentialOptions {
  Precision precision = Precision::Double; ///< of features and weights
  Device device = Device::Auto;            ///< the processor or a GPU
  /// Which GPU, modulo the number of GPUs. -1: Kokkos chooses by the rank on the node, which MPI's
  /// launcher gives. The first Potential in a process decides, as for n_threads.
  int gpu_number = -1;
  /// 0: as many as OMP_NUM_THREADS, or one. The first Potential in a process decides, and later
  /// ones have the same number, which Potential::n_threads() returns.
  int n_threads = 0;
  EnergyZero energy_zero = EnergyZero::Model; ///< what Observables::atom_energy counts from
  /// How products of functions on the sphere are computed: "sparse", "grid" or "fourier". Empty:
  /// the method that was the fastest in our measurements.
  std::string products;
  /// How convolutions of such functions along edges are computed: "sparse", "aligned" or empty.
  std::string convolutions;
  /// How factorized couplings are computed: "matrix", "cp", "node" or empty.
  std::string couplings;
  /// A cache of radial tables, or null. Making these takes most of the time. The potential takes
  /// tables from it and adds new ones, but does not keep it.
  std::shared_ptr<TableCache> table_cache;
};

/// Throws Error for a name that PotentialOptions::products does not know.
EQNN_API std::string products_from_name(std::string_view name);

/// Throws Error for a name that PotentialOptions::convolutions does not know.
EQNN_API std::string convolutions_from_name(std::string_view name);

/// Throws Error for a name that PotentialOptions::couplings does not know.
EQNN_API std::string couplings_from_name(std::string_view name);

/// A compiled model. Its construction takes time, because it makes tables. After the first call,
/// evaluate() allocates nothing. Do not use it from several threads at once: an evaluation uses all
/// threads itself.
class EQNN_API Potential {
public:
  /// Throws Error for an unknown name of products, convolutions or couplings, for
  /// EnergyZero::FreeAtoms with a model whose energy is a mean per atom, and for a radial function
  /// that varies too fast for a table. Throws std::bad_alloc if memory does not suffice.
  explicit Potential(const Model& model, const PotentialOptions& options = {});
  ~Potential();
  Potential(Potential&&) noexcept;
  Potential& operator=(Potential&&) noexcept;
  Potential(const Potential&) = delete;
  Potential& operator=(const Potential&) = delete;

  /// All ranks must call it together, including ranks without atoms: each uses halo the same number
  /// of times. Throws Error on all ranks if the edges of one are inconsistent
  /// (require_sound_edges()), do not fit the model or belong to several structures, if a result is
  /// not finite, or if memory does not suffice. The potential can still be used after that. The
  /// result is valid until the next call.
  const Observables& evaluate(const EdgeList& edges, HaloExchange& halo, Wanted wanted = {});

  /// The same for edges without ghosts, such as those of edges_of(). Throws Error if there are
  /// ghosts.
  const Observables& evaluate(const EdgeList& edges, Wanted wanted = {});

  /// Evaluates structures that are packed one after another (EdgeList::structures) in one pass on
  /// all threads. Each structure gets the same result as alone, bit by bit, whatever is packed with
  /// it and however many threads there are. If a result is not finite, the failure of that
  /// structure says so, and the others are not affected. Throws Error if the edges are inconsistent
  /// or do not fit the model, or if memory does not suffice. The result is valid until the next
  /// call.
  const PackedObservables& evaluate_each(const EdgeList& edges, Wanted wanted = {});

  /// As evaluate(), for a neighbor list in the memory that the model runs in. Forces and virials
  /// stay there. Throws Error for models with direct forces. If a position or an edge is bad, the
  /// Error does not name the atoms.
  const ResultsOnDevice&
  evaluate(const NeighborsOnDevice& neighbors, HaloExchange& halo, Wanted wanted);

  /// The same for lists on the host. Results are copied back. At most steps, only positions and
  /// forces are copied between host and device. Throws Error for indices out of range.
  const Observables& evaluate(const NeighborsOnHost& neighbors, HaloExchange& halo, Wanted wanted);

  /// [n_species] eV: the energy of a single atom of each species without neighbors. It includes the
  /// reference energies, whatever the energy zero is. Invalidates earlier results of evaluate().
  std::vector<double> free_atom_energies();

  /// The one in its options.
  EnergyZero energy_zero() const;
  /// Whether it runs on a GPU, whose memory is not that of the host.
  bool is_on_gpu() const;
  /// The largest number of scalars in a row that is passed to halo.
  std::int32_t max_row_width() const;
  /// Whether PotentialOptions::products makes a difference for this model.
  bool has_products() const;
  /// Whether PotentialOptions::convolutions does.
  bool has_convolutions() const;
  /// Whether PotentialOptions::couplings does.
  bool has_factored_couplings() const;
  /// The number of threads of an evaluation.
  int n_threads() const;
  /// The current memory of buffers, tables and results.
  std::size_t bytes_used() const;
  /// One paragraph for a log: execution space, threads, precision, tables and their error.
  std::string description() const;
  /// What is executed: a line for each table and each stage. For people; the form may change.
  const std::string& plan() const;

private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

} // namespace eqnn
