// SPDX-License-Identifier: BSD-3-Clause
// A model file that was read and validated, and what it describes.
#pragma once

#include "eqnn/export.h"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace eqnn {

struct ModelSpec;

/// What a model's energies mean.
enum class EnergySemantics {
  Extensive,  ///< a sum over atoms, of any number of them
  MeanPerAtom ///< meaningless for other numbers of atoms than the model was trained on
};

/// Where a model's forces come from.
enum class ForceKind {
  Gradient, ///< minus the derivative of the energy
  Direct    ///< not the derivative of the energy: it is not conserved, and there is no virial
};

/// A structure that is stored in a model file, with the results that the exporter computed for it.
struct SelfTest {
  std::string name;                             ///< as in "molecule, rotated"
  std::vector<std::int32_t> numbers;            ///< [n] atomic numbers
  std::vector<std::array<double, 3>> positions; ///< [n] Angstrom
  std::optional<std::array<double, 9>> cell;    ///< rows are lattice vectors, Angstrom
  double energy = 0.0;                          ///< eV
  std::vector<std::array<double, 3>> forces;    ///< [n] eV/Angstrom
  std::optional<std::array<double, 9>> virial;  ///< eV, as in Observables
};

/// Copies share one specification.
class EQNN_API Model {
public:
  /// Reads and validates a file. Throws Error if anything is wrong, with the name of the file, the
  /// place in it, and how to fix it. Throws std::bad_alloc if memory does not suffice.
  static Model open(const std::string& path);

  /// The same from memory. Messages call the model `name`.
  static Model parse(const std::string& bytes, const std::string& name);

  /// For the library's own use: from a specification that was made in memory.
  explicit Model(ModelSpec spec);

  /// Returns the same network with only these elements (atomic numbers, in any order). It has no
  /// weights and tables for other elements. Every result is the same, bit by bit. species() and
  /// EdgeList::species refer to the returned model. It keeps those self_tests() that contain no
  /// other element. Throws Error for an element that the model does not have, and if no element is
  /// given.
  Model with_species(const std::vector<std::int32_t>& atomic_numbers) const;

  /// The path that it was read from.
  const std::string& file() const;
  /// The verified SHA-256 of the file: 64 hexadecimal digits.
  const std::string& sha256() const;
  /// The name of the network's family, for people.
  const std::string& family() const;
  /// [n_species] atomic numbers, increasing; EdgeList::species are rows of this table
  const std::vector<std::int32_t>& species() const;
  /// Angstrom
  double cutoff() const;
  /// Whether energies are sums over atoms.
  EnergySemantics energy_semantics() const;
  /// Whether forces are minus the gradient of the energy. Otherwise there is no virial.
  ForceKind forces() const;
  /// Whether rotations change results only by rounding, according to the file.
  bool exactly_equivariant() const;
  /// The largest relative change of a coupling tensor under rotations: docs/spec/model_file.md
  double equivariance_defect() const;
  /// How many numbers the tensors of the file have, without indices. with_species() does not change
  /// it.
  std::int64_t n_parameters() const;
  /// The structures that are stored in the file; empty if there are none.
  const std::vector<SelfTest>& self_tests() const;
  /// JSON text, for people: data, level of theory, license, ...
  const std::string& provenance() const;

  /// The graph and its weights. Opaque outside the library.
  const ModelSpec& spec() const { return *spec_; }

private:
  std::shared_ptr<const ModelSpec> spec_;
};

} // namespace eqnn
