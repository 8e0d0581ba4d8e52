// SPDX-License-Identifier: BSD-3-Clause
// A validated model file and its properties.
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

/// The meaning of a model's energies.
enum class EnergySemantics {
  Extensive,  ///< a sum over any number of atoms
  MeanPerAtom ///< only meaningful for the numbers of atoms that the model was trained on
};

/// Where a model's forces come from.
enum class ForceKind {
  Gradient, ///< minus the derivative of the energy
  Direct    ///< not a derivative of the energy: energy is not conserved, and there is no virial
};

/// A structure stored in a model file, with the results that the exporter computed for it.
struct SelfTest {
  std::string name;                             ///< for example "molecule, rotated"
  std::vector<std::int32_t> numbers;            ///< [n] atomic numbers
  std::vector<std::array<double, 3>> positions; ///< [n] Angstrom
  std::optional<std::array<double, 9>> cell;    ///< rows are lattice vectors, Angstrom
  double energy = 0.0;                          ///< eV
  std::vector<std::array<double, 3>> forces;    ///< [n] eV/Angstrom
  std::optional<std::array<double, 9>> virial;  ///< eV, as in Observables
};

/// A model. Copies share the same data.
class EQNN_API Model {
public:
  /// Reads and validates a file. Throws Error if anything is wrong. The message names the file, the
  /// place in it, and the fix. Throws std::bad_alloc if memory does not suffice.
  static Model open(const std::string& path);

  /// The same for the bytes of a file in memory. Error messages call the model `name`.
  static Model parse(const std::string& bytes, const std::string& name);

  /// For use inside the library: makes a model from a specification in memory.
  explicit Model(ModelSpec spec);

  /// Returns the same network with only these elements (atomic numbers, in any order). It has no
  /// weights or tables for other elements. All results are bit for bit the same. EdgeList::species
  /// must use the rows of the returned model's species(). It keeps the self_tests() that contain no
  /// other element. Throws Error for an element that the model does not have, and if no element is
  /// given.
  Model with_species(const std::vector<std::int32_t>& atomic_numbers) const;

  /// The path of the file, or the name given to parse().
  const std::string& file() const;
  /// The verified SHA-256 of the file: 64 hexadecimal digits.
  const std::string& sha256() const;
  /// The name of the network's family, for display.
  const std::string& family() const;
  /// [n_species] atomic numbers, in increasing order. EdgeList::species holds rows of this table.
  const std::vector<std::int32_t>& species() const;
  /// The cutoff, Angstrom.
  double cutoff() const;
  /// Whether energies are sums over atoms.
  EnergySemantics energy_semantics() const;
  /// Whether forces are minus the gradient of the energy. If not, there is no virial.
  ForceKind forces() const;
  /// Whether results change only by rounding under rotations, according to the file.
  bool exactly_equivariant() const;
  /// The largest relative change of a coupling tensor under rotations. See docs/spec/model_file.md.
  double equivariance_defect() const;
  /// The total size of the tensors in the file, not counting index tensors. with_species() does not
  /// change it.
  std::int64_t n_parameters() const;
  /// The structures stored in the file for self-tests; may be empty.
  const std::vector<SelfTest>& self_tests() const;
  /// JSON text for display: data, level of theory, license, ...
  const std::string& provenance() const;

  /// The graph and its weights. Opaque outside the library.
  const ModelSpec& spec() const { return *spec_; }

private:
  std::shared_ptr<const ModelSpec> spec_;
};

} // namespace eqnn
