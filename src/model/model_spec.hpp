// SPDX-License-Identifier: BSD-3-Clause
// What a model file says, as plain structs. Names and formulas: docs/spec/model_file.md. No
// behaviour here.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace eqnn {

/// A weight tensor, row-major, in double whatever the file's type.
struct Tensor {
  std::vector<std::int64_t> shape;
  std::vector<double> values;

  std::int64_t size() const { return static_cast<std::int64_t>(values.size()); }
};

enum class Activation { None, Silu };

struct LayerNorm {
  Tensor scale; ///< [out]
  Tensor shift; ///< [out]
  double eps = 0.0;
};

/// y = activation(layer_norm(W x + b))
struct MlpLayer {
  Tensor weight;              ///< [out, in]
  std::optional<Tensor> bias; ///< [out]
  std::optional<LayerNorm> layer_norm;
  Activation activation = Activation::None;
};

/// g_k(r) = amplitude_k exp(-((r - center_k) / width_k)^2 / 2); r, center, width in Angstrom
struct GaussianBasis {
  Tensor center, width, amplitude; ///< [n]
};

enum class EnvelopeKind { None, Polynomial };

struct Envelope {
  EnvelopeKind kind = EnvelopeKind::None;
  double p = 0.0;
};

/// Index of a stage in ModelSpec::graph whose output is used.
using StageIndex = std::int32_t;

struct SphericalHarmonicsStage {
  std::int32_t l_max = 0;
};

struct EdgeMatrixStage {
  StageIndex harmonics = -1;
  Tensor coupling; ///< [d, d, d], T[k][j][i]
};

struct RadialStage {
  GaussianBasis basis;
  Envelope envelope;
  std::vector<MlpLayer> layers;
};

struct SpeciesEmbeddingStage {
  std::int32_t l_max = 0;
  Tensor table; ///< [n_species, C]
};

struct DegreeEmbeddingStage {
  StageIndex matrix = -1, radial = -1;
  Tensor weight; ///< [C_out, C]
  Tensor bias;   ///< [C_out]
};

struct AddStage {
  StageIndex a = -1, b = -1;
};

struct EquivariantNormStage {
  StageIndex features = -1;
  double eps = 0.0;
  Tensor scale; ///< [l_max + 1, C]
  Tensor shift; ///< [C]
};

struct LinearStage {
  StageIndex features = -1;
  std::int32_t l_max = 0;     ///< of the output
  Tensor weight;              ///< [C_out, C_in]
  std::optional<Tensor> bias; ///< [C_out], l = 0 only
};

struct GateStage {
  StageIndex features = -1, gates = -1;
};

struct EdgeAttentionStage {
  StageIndex source = -1, center = -1, matrix = -1, radial = -1;
  std::int32_t heads = 0;
  double negative_slope = 0.0, eps = 0.0;
  Tensor logit_weight, logit_bias, logit_vector; ///< [C, C], [C], [H, C/H]
  Tensor value_weight, value_bias;               ///< [C, C], [C]
  Tensor gate_weight, gate_bias;                 ///< [C, C], [C]
};

struct ReadoutStage {
  StageIndex features = -1;
  std::vector<MlpLayer> layers;
};

struct DirectForcesStage {
  StageIndex features = -1;
};

struct EnergyStage {
  std::vector<StageIndex> terms;
};

enum class ValueKind { Harmonics, Matrix, Radial, Features, Scalar, Forces, Energy };

struct Stage {
  std::string output; ///< the value's name in the file
  ValueKind kind = ValueKind::Features;
  std::int32_t l_max = 0;    ///< of harmonics, matrix and features
  std::int32_t channels = 0; ///< of radial and features
  std::variant<SphericalHarmonicsStage,
               EdgeMatrixStage,
               RadialStage,
               SpeciesEmbeddingStage,
               DegreeEmbeddingStage,
               AddStage,
               EquivariantNormStage,
               LinearStage,
               GateStage,
               EdgeAttentionStage,
               ReadoutStage,
               DirectForcesStage,
               EnergyStage>
      op;
};

enum class Parity { So3, O3 };
enum class EnergySemantics { Extensive, MeanPerAtom };
enum class ForceKind { Gradient, Direct };

struct EnergyScale {
  EnergySemantics semantics = EnergySemantics::Extensive;
  double scale = 1.0, shift = 0.0;      ///< eV
  std::vector<double> reference;        ///< [n_species] eV
  bool isolated_atoms_are_zero = false; ///< e_i = 0 for an atom without neighbours
};

struct SelfTest {
  std::string name;
  std::vector<std::int32_t> numbers;
  std::vector<std::array<double, 3>> positions; ///< Angstrom
  std::optional<std::array<double, 9>> cell;    ///< rows are lattice vectors
  double energy = 0.0;                          ///< eV
  std::vector<std::array<double, 3>> forces;    ///< eV/Angstrom
  std::optional<std::array<double, 9>> virial;  ///< eV
};

struct ModelSpec {
  std::string file;   ///< where it was read
  std::string sha256; ///< as verified
  std::string family;
  std::vector<std::int32_t> species; ///< atomic numbers, increasing
  double cutoff = 0.0;               ///< Angstrom
  std::int32_t l_max = 0;
  Parity parity = Parity::So3;
  bool exactly_equivariant = false;
  double equivariance_defect = 0.0;
  EnergyScale energy;
  ForceKind forces = ForceKind::Gradient;
  std::vector<Stage> graph; ///< each stage uses outputs of earlier ones only
  std::vector<SelfTest> self_tests;
  std::string provenance; ///< JSON text, for people
  std::int64_t n_parameters = 0;
};

} // namespace eqnn
