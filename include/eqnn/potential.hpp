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

/// What energies count from.
enum class EnergyZero {
  Model,    ///< what the model was trained on has
  FreeAtoms ///< atoms without neighbors
};

/// Radial tables, for potentials of one file or of models that were cut from it.
struct TableCache;

/// Return an empty cache, for the options of several potentials.
EQNN_API std::shared_ptr<TableCache> make_table_cache();

/// How a model is computed.
struct PotentialOptions {
  Precision precision = Precision::Double; ///< of features and weights
  Device device = Device::Auto;            ///< the processor or a GPU
  /// Which of several GPUs, counted round; -1: as Kokkos chooses, by what MPI's launcher says of
  /// ranks on a node. Of the first Potential in a process, as n_threads.
  int gpu_number = -1;
  /// 0: what OMP_NUM_THREADS says, or one. Of the first Potential in a process: later ones have as
  /// many, whatever they ask for. Potential::n_threads() says how many.
  int n_threads = 0;
  EnergyZero energy_zero = EnergyZero::Model; ///< what Observables::atom_energy counts from
  /// How products of functions on the sphere are computed: "sparse", "grid", "fourier", or empty:
  /// what was measured to be fastest.
  std::string products;
  /// How their convolutions along edges are: "sparse", "aligned", or empty.
  std::string convolutions;
  /// How couplings that are given in factors are: "matrix", "cp", "node", or empty.
  std::string couplings;
  /// Where radial tables are taken from and left, which take most of the time; or null. It is not
  /// kept.
  std::shared_ptr<TableCache> table_cache;
};

/// Throws Error for a name that PotentialOptions::products does not know.
EQNN_API std::string products_from_name(std::string_view name);

/// Throws Error for a name that PotentialOptions::convolutions does not know.
EQNN_API std::string convolutions_from_name(std::string_view name);

/// Throws Error for a name that PotentialOptions::couplings does not know.
EQNN_API std::string couplings_from_name(std::string_view name);

/// A compiled model. Construction takes the time (tables); a warm evaluate() allocates nothing. Not
/// for several threads at once: an evaluation uses them all by itself.
class EQNN_API Potential {
public:
  /// Throws Error for a name of products, convolutions or couplings that is not known, for
  /// energies of free atoms of a model whose energy is a mean per atom, and for a radial function
  /// that varies too fast for a table; std::bad_alloc for want of memory.
  explicit Potential(const Model& model, const PotentialOptions& options = {});
  ~Potential();
  Potential(Potential&&) noexcept;
  Potential& operator=(Potential&&) noexcept;
  Potential(const Potential&) = delete;
  Potential& operator=(const Potential&) = delete;

  /// All ranks call it together: halo is used the same number of times on each, also by ranks
  /// without atoms. Throws Error, on all ranks, where one's edges do not fit together or the model
  /// (require_sound_edges()), are of several structures, a result is not finite or memory does not
  /// suffice; the potential is then as good as before. The result is valid until the next call.
  const Observables& evaluate(const EdgeList& edges, HaloExchange& halo, Wanted wanted = {});

  /// The same for edges without ghosts, as edges_of() makes them. Throws Error for ghosts.
  const Observables& evaluate(const EdgeList& edges, Wanted wanted = {});

  /// Structures that are packed one after another (EdgeList::structures), all in one pass of all
  /// threads. Each gets, bit by bit, what it would get alone, whatever is packed beside it, on any
  /// number of threads; where a result is not finite, its failure says so and the others stand.
  /// Throws Error where the edges do not fit together or the model, and for want of memory. The
  /// result is valid until the next call.
  const PackedObservables& evaluate_each(const EdgeList& edges, Wanted wanted = {});

  /// As evaluate() of neighbors that are where the model runs, with forces and virials left there.
  /// Not for direct forces, for which it throws Error. Where a position or an edge is bad, the
  /// Error does not say of which atoms.
  const ResultsOnDevice&
  evaluate(const NeighborsOnDevice& neighbors, HaloExchange& halo, Wanted wanted);

  /// The same of lists on the host, with the results brought back: at most steps positions and
  /// forces are all that goes between host and device. Throws Error for indices that do not fit.
  const Observables& evaluate(const NeighborsOnHost& neighbors, HaloExchange& halo, Wanted wanted);

  /// [n_species] eV: the energy of an atom of each species that has no neighbors and is the only
  /// one, reference energies included, whatever the energy zero is. What evaluate() returned before
  /// is no longer valid.
  std::vector<double> free_atom_energies();

  /// As in its options.
  EnergyZero energy_zero() const;
  /// Whether it runs on a GPU, whose memory is not the host's.
  bool is_on_gpu() const;
  /// Largest number of scalars in a row that halo will be handed.
  std::int32_t max_row_width() const;
  /// Whether PotentialOptions::products has something to choose for this model.
  bool has_products() const;
  /// Whether PotentialOptions::convolutions has.
  bool has_convolutions() const;
  /// Whether PotentialOptions::couplings has.
  bool has_factored_couplings() const;
  /// Threads that work on one evaluation.
  int n_threads() const;
  /// Memory of buffers, tables and results now held.
  std::size_t bytes_used() const;
  /// One paragraph for a log: execution space, threads, precision, tables and their error.
  std::string description() const;
  /// What is executed, a line for each table and each stage; for people, and not always the same.
  const std::string& plan() const;

private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

} // namespace eqnn
