// SPDX-License-Identifier: BSD-3-Clause
// Neighbors in, forces out, both in the memory that the model runs in. These are plain pointers,
// so that the data of an MD engine need not be copied through the host.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace eqnn {

/// Distances between the rows and columns of a matrix, in elements. It is not a std::array, because
/// kernels cannot call that on every device.
struct Strides {
  std::int64_t row;    ///< from an element to that of the next row
  std::int64_t column; ///< to that of the next column
};

/// A neighbor list of atoms and their images. Some of these are nodes: the owned atoms of the model
/// (0 .. n_centers-1), then the ghosts whose features this rank needs. All pointers are into the
/// memory of the Potential's execution space, and must stay valid during the evaluation.
struct NeighborsOnDevice {
  std::int32_t n_centers = 0;                 ///< owned atoms that the model knows
  std::int32_t n_nodes = 0;                   ///< these and the ghosts
  const std::int32_t* species = nullptr;      ///< [n_nodes] row of the model's species tables
  const std::int32_t* atom_of_node = nullptr; ///< [n_nodes]
  /// [n_atoms] the node of an atom, or of the atom whose image it is; -1 if the model ignores it
  const std::int32_t* node_of_atom = nullptr;
  const double* positions = nullptr;    ///< [n_atoms, 3] Angstrom, with these strides
  Strides position_strides{3, 1};       ///< of positions
  const std::int32_t* counts = nullptr; ///< [n_atoms] neighbors of an atom; read of centers
  /// [n_atoms, most neighbors] with these strides. An entry & neighbor_mask is an atom. Atoms
  /// beyond the cutoff are skipped.
  const std::int32_t* neighbors = nullptr;
  Strides neighbor_strides{0, 1};  ///< of neighbors
  std::int32_t neighbor_mask = -1; ///< bits of an entry that are the atom; others mark bonds
  double cutoff = 0.0;             ///< Angstrom
};

/// The same lists on the host. The potential copies them to the device of the model. Rows may have
/// any length and place, as in codes for CPUs. All pointers must stay valid during the evaluation.
struct NeighborsOnHost {
  std::int32_t n_centers = 0;                 ///< owned atoms that the model knows
  std::int32_t n_nodes = 0;                   ///< these and the ghosts
  std::int32_t n_atoms = 0;                   ///< with images
  const std::int32_t* species = nullptr;      ///< as in NeighborsOnDevice
  const std::int32_t* atom_of_node = nullptr; ///< likewise
  const std::int32_t* node_of_atom = nullptr; ///< likewise
  const double* positions = nullptr;          ///< [n_atoms, 3] Angstrom
  const std::int32_t* counts = nullptr;       ///< by atom; read of centers
  /// For each atom, read only for centers: its first neighbor. The next one is `stride` elements
  /// further.
  const std::int32_t* const* first = nullptr;
  std::size_t stride = 1;          ///< from one neighbor to the next, in elements
  std::int32_t neighbor_mask = -1; ///< bits of an entry that are the atom; others mark bonds
  double cutoff = 0.0;             ///< Angstrom
  /// Whether anything but positions and species changed since the last call with such lists.
  bool is_new = true;
};

/// As Observables, on the device. Valid until the next evaluation.
struct ResultsOnDevice {
  double energy = 0.0;            ///< eV, on the host
  std::array<double, 9> virial{}; ///< eV, on the host
  double* atom_energy = nullptr;  ///< [n_centers]
  double* forces = nullptr;       ///< [n_nodes, 3]; null if not wanted
  double* atom_virial = nullptr;  ///< [n_nodes, 9]; null if not wanted
};

} // namespace eqnn
