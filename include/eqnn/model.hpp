// SPDX-License-Identifier: BSD-3-Clause
// A model file, read and validated: what it is and what it is for.
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

/// A structure that travels in a model file, with what the exporter computed for it.
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
  /// Reads and validates a file. Whatever is wrong throws Error with the file's name, where in it,
  /// and the cure; want of memory throws std::bad_alloc.
  static Model open(const std::string& path);

  /// The same from memory; `name` stands in messages.
  static Model parse(const std::string& bytes, const std::string& name);

  /// For the library's own use: a specification made in memory.
  explicit Model(ModelSpec spec);

  /// The same network of these elements only (atomic numbers, in any order), with weights and
  /// tables of no others. Every result is the same, bit by bit; what species() and
  /// EdgeList::species mean is that of the cut model. Of self_tests() those are left that have no
  /// other element. Throws Error for an element that the model does not know, and where none is
  /// named.
  Model with_species(const std::vector<std::int32_t>& atomic_numbers) const;

  /// Where it was read.
  const std::string& file() const;
  /// Of the file, as verified: 64 hexadecimal digits.
  const std::string& sha256() const;
  /// The network's name, for people.
  const std::string& family() const;
  /// [n_species] atomic numbers, increasing; EdgeList::species are rows of this table
  const std::vector<std::int32_t>& species() const;
  /// Angstrom
  double cutoff() const;
  /// Whether its energies are sums over atoms.
  EnergySemantics energy_semantics() const;
  /// Whether its forces are minus the gradient of the energy; others have no virial.
  ForceKind forces() const;
  /// Whether rotations change results by rounding alone, as the file says.
  bool exactly_equivariant() const;
  /// By how much its coupling tensors change under rotations at most, relative:
  /// docs/spec/model_file.md
  double equivariance_defect() const;
  /// Numbers in the file's tensors, without indices, whatever with_species() left of it.
  std::int64_t n_parameters() const;
  /// The structures that travel in the file; empty where it has none.
  const std::vector<SelfTest>& self_tests() const;
  /// JSON text, for people: data, level of theory, license, ...
  const std::string& provenance() const;

  /// The graph and its weights; opaque outside the library.
  const ModelSpec& spec() const { return *spec_; }

private:
  std::shared_ptr<const ModelSpec> spec_;
};

} // namespace eqnn
