// SPDX-License-Identifier: BSD-3-Clause
// The content of a model file as plain structs, without behavior. Names and formulas are in
// docs/spec/stages. The fields of a stage are in model/stages/NAME.hpp.
#pragma once

#include "base/stages.hpp"
#include "base/variant_of.hpp"
#include "eqnn/model.hpp"
#include "model/all_stages.hpp"

namespace eqnn {

enum class ValueKind { Harmonics, Matrix, Radial, Features, Scalar, Forces, Energy };

#define EQNN_STAGE_TYPE(Type, name) , Type##Stage
using StageOp = VariantOf<void EQNN_MODEL_STAGES(EQNN_STAGE_TYPE)>;
#undef EQNN_STAGE_TYPE

struct Stage {
  std::string output; ///< name of the value in the file
  ValueKind kind = ValueKind::Features;
  std::int32_t l_max = 0;    ///< of harmonics, matrix and uniform features
  std::int32_t channels = 0; ///< of radial and uniform features
  Irreps irreps;             ///< of features
  StageOp op;
};

enum class Parity { So3, O3 };

struct EnergyScale {
  EnergySemantics semantics = EnergySemantics::Extensive;
  std::vector<double> scale;            ///< [n_species] eV
  double shift = 0.0;                   ///< eV
  std::vector<double> reference;        ///< [n_species] eV
  bool isolated_atoms_are_zero = false; ///< e_i = 0 for an atom without neighbors
};

struct ModelSpec {
  std::string file;   ///< path, or the name given to parse_model()
  std::string sha256; ///< verified
  std::string family;
  std::vector<std::int32_t> species; ///< atomic numbers, increasing
  double cutoff = 0.0;               ///< Angstrom
  std::int32_t l_max = 0;
  Parity parity = Parity::So3;
  bool exactly_equivariant = false;
  double equivariance_defect = 0.0;
  EnergyScale energy;
  ForceKind forces = ForceKind::Gradient;
  std::vector<Stage> graph; ///< each stage uses only outputs of earlier stages
  std::vector<SelfTest> self_tests;
  std::string provenance; ///< JSON text, for display
  std::int64_t n_parameters = 0;
};

} // namespace eqnn
