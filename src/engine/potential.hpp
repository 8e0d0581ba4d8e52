// SPDX-License-Identifier: BSD-3-Clause
// The face of the library: one model, at one precision, ready to be evaluated. No Kokkos, no JSON,
// no LAMMPS in this header.
#pragma once

#include "base/edge_list.hpp"
#include "eqnn/edges.hpp"
#include "eqnn/halo.hpp"
#include "eqnn/precision.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace eqnn {

struct ModelSpec;

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
