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

enum class EnergySemantics {
  Extensive,
  MeanPerAtom ///< meaningless for other numbers of atoms than the model was trained on
};

enum class ForceKind {
  Gradient,
  Direct ///< not the derivative of the energy: it is not conserved, and there is no virial
};

/// A structure that travels in a model file, with what the exporter computed for it.
struct SelfTest {
  std::string name;
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

  /// The same network of these elements only (atomic numbers, in any order), with weights and tables of
  /// no others. Every result is the same, bit by bit; what species() and EdgeList::species mean is
  /// that of the cut model. Of self_tests() those are left that have no other element. Throws Error
  /// for an element that the model does not know, and where none is named.
  Model with_species(const std::vector<std::int32_t>& atomic_numbers) const;

  const std::string& file() const;   ///< where it was read
  const std::string& sha256() const; ///< as verified
  const std::string& family() const; ///< the network's name, for people
  /// [n_species] atomic numbers, increasing; EdgeList::species are rows of this table
  const std::vector<std::int32_t>& species() const;
  double cutoff() const; ///< Angstrom
  EnergySemantics energy_semantics() const;
  ForceKind forces() const;
  bool exactly_equivariant() const;
  /// By how much its coupling tensors change under rotations at most, relative:
  /// docs/spec/model_file.md
  double equivariance_defect() const;
  std::int64_t n_parameters() const; ///< of the file, whatever with_species() left of it
  const std::vector<SelfTest>& self_tests() const;
  const std::string& provenance() const; ///< JSON text, for people

  /// The graph and its weights; opaque outside the library.
  const ModelSpec& spec() const { return *spec_; }

private:
  std::shared_ptr<const ModelSpec> spec_;
};

} // namespace eqnn
