// SPDX-License-Identifier: BSD-3-Clause
// Neighbors in, forces out, both in the memory of the device that runs the model. These are plain
// pointers, so the data of an MD engine need not be copied through the host.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace eqnn {

/// Distances between the rows and columns of a matrix, in elements. Not a std::array, because
/// kernels cannot call its functions on every device.
struct Strides {
  std::int64_t row;    ///< from an element to the one in the next row
  std::int64_t column; ///< from an element to the one in the next column
};

/// A neighbor list of atoms and their images. Some atoms are nodes: first the owned atoms that the
/// model knows (0 .. n_centers-1), then the ghosts whose features this rank needs. All pointers
/// refer to the memory of the Potential's execution space, and must stay valid during the
/// evaluation.
struct NeighborsOnDevice {
  std::int32_t n_centers = 0;                 ///< owned atoms that the model knows
  std::int32_t n_nodes = 0;                   ///< these and the ghosts
  const std::int32_t* species = nullptr;      ///< [n_nodes] row in the model's species tables
  const std::int32_t* atom_of_node = nullptr; ///< [n_nodes]
  /// [n_atoms] the node of an atom, or of the atom whose image it is; -1 if the model ignores it
  const std::int32_t* node_of_atom = nullptr;
  const double* positions = nullptr;    ///< [n_atoms, 3] Angstrom
  Strides position_strides{3, 1};       ///< of positions
  const std::int32_t* counts = nullptr; ///< [n_atoms] number of neighbors; read only for centers
  /// [n_atoms, largest number of neighbors]. An entry & neighbor_mask is the index of an atom.
  /// Atoms beyond the cutoff are skipped.
  const std::int32_t* neighbors = nullptr;
  Strides neighbor_strides{0, 1};  ///< of neighbors
  std::int32_t neighbor_mask = -1; ///< bits of an entry that are the atom; others mark bonds
  double cutoff = 0.0;             ///< Angstrom
};

/// The same lists on the host. The potential copies them to the device that runs the model. Rows
/// may have any length and be anywhere in memory, as in CPU codes. All pointers must stay valid
/// during the evaluation.
struct NeighborsOnHost {
  std::int32_t n_centers = 0;                 ///< owned atoms that the model knows
  std::int32_t n_nodes = 0;                   ///< these and the ghosts
  std::int32_t n_atoms = 0;                   ///< owned atoms and their images
  const std::int32_t* species = nullptr;      ///< as in NeighborsOnDevice
  const std::int32_t* atom_of_node = nullptr; ///< likewise
  const std::int32_t* node_of_atom = nullptr; ///< likewise
  const double* positions = nullptr;          ///< [n_atoms, 3] Angstrom
  const std::int32_t* counts = nullptr; ///< [n_atoms] number of neighbors; read only for centers
  /// [n_atoms] pointer to the first neighbor of an atom; read only for centers. The next neighbor
  /// is `stride` elements further.
  const std::int32_t* const* first = nullptr;
  std::size_t stride = 1;          ///< from one neighbor to the next, in elements
  std::int32_t neighbor_mask = -1; ///< bits of an entry that are the atom; others mark bonds
  double cutoff = 0.0;             ///< Angstrom
  /// Whether anything except positions and species has changed since the last call with these
  /// lists.
  bool is_new = true;
};

/// Like Observables, on the device. Valid until the next evaluation.
struct ResultsOnDevice {
  double energy = 0.0;            ///< eV, on the host
  std::array<double, 9> virial{}; ///< eV, on the host
  double* atom_energy = nullptr;  ///< [n_centers]
  double* forces = nullptr;       ///< [n_nodes, 3]; null if not wanted
  double* atom_virial = nullptr;  ///< [n_nodes, 9]; null if not wanted
};

} // namespace eqnn
