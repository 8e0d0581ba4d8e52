// SPDX-License-Identifier: BSD-3-Clause
// The face of the library: one model, at one precision, ready to be evaluated. No Kokkos, no JSON,
// no LAMMPS in this header.
#pragma once

#include "base/edge_list.hpp"
#include "base/error.hpp"
#include "kernels/fold_edges.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace eqnn {

struct ModelSpec;

/// Geometry, energies and virials are double at every precision.
enum class Precision {
  Double, ///< everything in double
  /// features and weights in float; norms, softmax, readout and edge gradients accumulate in double
  Mixed,
  Single ///< features, weights and accumulators in float
};

/// "double", "mixed", "single"; throws Error for anything else.
Precision precision_from_name(std::string_view name);
std::string_view name_of(Precision precision);

/// Rows of node features, `width` numbers each, for all n_nodes nodes.
template <class Scalar> struct NodeRows {
  Scalar* data;
  std::int32_t width;
};

/// How features cross the borders between ranks and periodic images. The caller implements it
/// (LAMMPS's Comm; a fake in tests).
class HaloExchange {
public:
  virtual ~HaloExchange() = default;
  /// Copies the rows of owned atoms onto their ghosts.
  virtual void forward(NodeRows<double> rows) = 0;
  virtual void forward(NodeRows<float> rows) = 0;
  /// Adds the rows of ghosts to the atoms that own them. Ghost rows are undefined afterwards.
  virtual void reverse(NodeRows<double> rows) = 0;
  virtual void reverse(NodeRows<float> rows) = 0;

  /// How messages call the atom of a node.
  virtual std::string name_of(std::int32_t node) const { return "atom " + std::to_string(node); }

  /// All ranks call it together, each with what failed on it or an empty string, before the first
  /// exchange of an evaluation and after the last: throws Error on all ranks where one failed, so that
  /// none waits for it.
  virtual void agree(const std::string& failure) {
    if (!failure.empty()) {
      fail(failure);
    }
  }
};

struct PotentialOptions {
  Precision precision = Precision::Double;
  int n_threads = 0; ///< 0: what OMP_NUM_THREADS says, or one
  /// How products of functions on the sphere are computed: "sparse", "grid", "fourier", or empty: what
  /// was measured to be fastest.
  std::string products;
  /// How their convolutions along edges are: "sparse", "aligned", or empty.
  std::string convolutions;
};

/// Throws Error for a name that PotentialOptions::products does not know.
std::string products_from_name(std::string_view name);

/// Throws Error for a name that PotentialOptions::convolutions does not know.
std::string convolutions_from_name(std::string_view name);

/// A compiled model. Construction takes the time (tables); a warm evaluate() allocates nothing.
class Potential {
public:
  Potential(const ModelSpec& spec, const PotentialOptions& options);
  ~Potential();
  Potential(const Potential&) = delete;
  Potential& operator=(const Potential&) = delete;

  /// Energies, and (unless energy_only) the gradient. All ranks call it together: halo is used the
  /// same number of times on each, also by ranks without atoms. Throws Error, on all ranks, where an
  /// edge of one is shorter than 1e-6 Angstrom, a result is not finite or memory does not suffice.
  void
  evaluate(const EdgeList& edges, HaloExchange& halo, Outputs& outputs, bool energy_only = false);

  /// Largest number of scalars in a row that halo will be handed.
  std::int32_t max_row_width() const;
  /// Whether PotentialOptions::products and convolutions have something to choose for this model.
  bool has_products() const;
  bool has_convolutions() const;
  /// Threads that work on one evaluation.
  int n_threads() const;
  /// Memory of buffers and tables now held.
  std::size_t bytes_used() const;
  /// One paragraph for a log: execution space, threads, precision, tables and their error.
  std::string description() const;

private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

} // namespace eqnn
