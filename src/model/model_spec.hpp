// SPDX-License-Identifier: BSD-3-Clause
// What a model file says, as plain structs. Names and formulas: docs/spec/model_file.md. No
// behaviour here.
#pragma once

#include "base/irreps.hpp"
#include "eqnn/model.hpp"

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

enum class Activation { None, Silu, Tanh, Sigmoid };

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

/// g_k(r) = amplitude_k sin(frequency_k r) / r
struct BesselBasis {
  Tensor frequency; ///< [n] 1/Angstrom
  Tensor amplitude; ///< [n]
};

enum class EnvelopeKind { None, Polynomial, Xplor };

struct Envelope {
  EnvelopeKind kind = EnvelopeKind::None;
  double p = 0.0;        ///< of the polynomial
  double start = 0.0;    ///< of XPLOR, Angstrom
  bool on_basis = false; ///< multiplies the functions g_k, else the output
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
  std::variant<GaussianBasis, BesselBasis> basis;
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

/// The block `in` of the input, mixed into the block `out` of the output.
struct BlockWeight {
  std::int32_t in = -1, out = -1;
  Tensor weight; ///< [C_out, C_in] or [n_species, C_out, C_in]
};

struct IrrepsLinearStage {
  StageIndex features = -1;
  bool per_species = false;
  std::vector<BlockWeight> blocks; ///< one for each block of the output
  std::optional<Tensor> bias;      ///< [C_out] of 0e
};

/// Source block x harmonics of degree l -> output block, with the channels of the source's block.
struct TensorProductPath {
  std::int32_t source = -1; ///< block
  std::int32_t l = 0;
  std::int32_t out = -1;    ///< block
  std::int32_t radial = 0;  ///< first channel of the radial function
  std::int32_t channel = 0; ///< first channel in the output's block
};

struct EdgeTensorProductStage {
  StageIndex source = -1, harmonics = -1, radial = -1;
  std::vector<TensorProductPath> paths;
};

struct IrrepsGateStage {
  StageIndex features = -1;
  std::int32_t even_scalars = 0, odd_scalars = 0; ///< leading channels of 0e and 0o
  Activation even_activation = Activation::None, odd_activation = Activation::None;
  Activation gate_activation = Activation::None;
  bool odd_gates = false; ///< gates are channels of 0o, else of 0e
};

struct RmsNormStage {
  StageIndex features = -1;
  double eps = 0.0;
  std::vector<Tensor> scale; ///< of each block, [C]
};

/// out[m3, c] += values weights[z, k, c] x[i_1, c] ... x[i_nu, c]
struct ContractionTerm {
  std::int32_t block = -1;                          ///< of the output
  std::int32_t nu = 0;                              ///< 1 to 3
  std::vector<std::array<std::int32_t, 5>> indices; ///< m3, k, i_1 .. i_nu
  Tensor values;                                    ///< [n]
  Tensor weights;                                   ///< [n_species, K, C]
};

struct SymmetricContractionStage {
  StageIndex features = -1;
  std::vector<ContractionTerm> terms;
};

struct SpherePolynomialStage {
  StageIndex features = -1;
  std::vector<Tensor> orders; ///< nu = 1, 2, ...: [n_species, C, l_max + 1]
};

struct GauntProductStage {
  StageIndex a = -1, b = -1;
  std::optional<Tensor> scale_a, scale_b, scale_out, curl; ///< [l_max + 1, C]
};

struct GauntConvolutionStage {
  StageIndex source = -1, harmonics = -1, radial = -1;
};

struct ZblStage {
  Tensor radius; ///< [n_species] Angstrom
  double p = 0.0, screening_length = 0.0, screening_exponent = 0.0;
  std::vector<double> coefficients, exponents;
};

enum class ValueKind { Harmonics, Matrix, Radial, Features, Scalar, Forces, Energy };

struct Stage {
  std::string output; ///< the value's name in the file
  ValueKind kind = ValueKind::Features;
  std::int32_t l_max = 0;    ///< of harmonics, matrix and uniform features
  std::int32_t channels = 0; ///< of radial and uniform features
  Irreps irreps;             ///< of features
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
               IrrepsLinearStage,
               EdgeTensorProductStage,
               IrrepsGateStage,
               RmsNormStage,
               SymmetricContractionStage,
               SpherePolynomialStage,
               GauntProductStage,
               GauntConvolutionStage,
               ZblStage,
               ReadoutStage,
               DirectForcesStage,
               EnergyStage>
      op;
};

enum class Parity { So3, O3 };

struct EnergyScale {
  EnergySemantics semantics = EnergySemantics::Extensive;
  std::vector<double> scale;            ///< [n_species] eV
  double shift = 0.0;                   ///< eV
  std::vector<double> reference;        ///< [n_species] eV
  bool isolated_atoms_are_zero = false; ///< e_i = 0 for an atom without neighbours
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
