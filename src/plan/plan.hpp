// SPDX-License-Identifier: BSD-3-Clause
// What will be executed: flat tables in double, stages in order, buffers assigned. Names no
// architecture. Made by compile().
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace eqnn::plan {

/// Index into Plan::values. kNoValue: none.
using ValueId = std::int32_t;
inline constexpr ValueId kNoValue = -1;

/// Rows of a node that have the same channels.
struct Block {
  std::int32_t components = 0;
  std::int32_t channels = 0;
  /// Channels that a row has room for: SIMD loops that end within a vector may write zeros there.
  std::int32_t reserved = 0;
};

/// Node features, one block of rows [components, channels] after another, and, during the reverse
/// pass, their adjoint. Values with the same buffer are never alive together.
struct NodeValue {
  std::string name;
  std::vector<Block> blocks;
  std::int32_t components = 0; ///< of all blocks
  std::int32_t channels = 0;   ///< where all blocks have the same, else 0
  bool on_ghosts = false;      ///< neighbours read it: ghost rows exist and are exchanged
  std::int32_t buffer = -1, adjoint_buffer = -1;
};

/// Whether an adjoint stage is the first to write dE/d(input), or adds to what is there.
enum class Write { Overwrite, Add };

/// Where a stage reads a value, and how its adjoint gives back.
struct Input {
  ValueId value = kNoValue;
  Write adjoint = Write::Add;
};

/// Piecewise polynomial of all channels of a radial function on [0, cutoff]: on interval n of
/// n_intervals equal ones, w_c(r) = sum_p coefficients[n][p][c] t^p with t in [-1, 1].
struct RadialTable {
  std::int32_t degree = 0;
  std::int32_t n_intervals = 0;
  std::int32_t channels = 0;
  std::vector<double> coefficients; ///< [n_intervals, degree + 1, channels]
  /// largest |table - function| over largest |function|, on points between the nodes
  double error = 0.0;
};

/// T[j][i][k] of M[i][k] = sum_j T[j][i][k] Y_j (the transpose of the model's M: input component
/// first).
struct Coupling {
  std::int32_t components = 0;
  std::vector<double> values; ///< [d, d, d]
};

struct Embedding {
  ValueId out = kNoValue;
  std::vector<double> table; ///< [n_species, channels]
};

/// out[i,k,c] = sum over edges of M[0][k] w_c
struct NeighborSum {
  ValueId out = kNoValue;
  std::int32_t matrix = -1, radial = -1;
};

/// out = residual + W in, bias on component 0 (times the number of neighbours where
/// bias_per_neighbor)
struct Linear {
  ValueId out = kNoValue;
  Input in, residual;
  std::vector<double> weight; ///< [channels in, channels out]
  std::vector<double> bias;   ///< [channels out] or empty
  bool bias_per_neighbor = false;
};

/// Block `in` of the input -> block `out` of the output.
struct BlockMap {
  std::int32_t in = -1, out = -1;
  std::vector<double> weight; ///< [1 or n_species, channels in, channels out]
};

/// out = residual + a linear map of each block, bias on the first component. Blocks of the input
/// that no map reads do not matter.
struct BlockLinear {
  ValueId out = kNoValue;
  Input in, residual;
  std::vector<BlockMap> blocks;
  bool per_species = false;
  std::vector<double> bias; ///< [channels of the first block] or empty
};

/// out[b, m3, c] += sum over edges of w_e[c] sum_m1 K_e[m1, m3] source[a, m1, c], with K_e = sum_j
/// coupling[j][entry] Y_j(e): one path. Several may share radial channels and outputs.
struct Path {
  std::int32_t source = -1, out = -1; ///< blocks
  std::int32_t channels = 0;
  std::int32_t radial = 0;  ///< first channel of the radial function
  std::int32_t channel = 0; ///< first channel in the output's block
  std::int32_t entry = 0;   ///< first of the path's (2l1+1)(2l3+1) entries [m1, m3]
};

struct EdgeProduct {
  ValueId out = kNoValue;
  Input source;
  std::int32_t radial = -1;
  std::int32_t harmonics = 0; ///< components of Y
  std::int32_t entries = 0;
  std::vector<Path> paths;
  std::vector<double> coupling; ///< [harmonics, entries]
};

/// Highest degree that ZonalProduct takes.
inline constexpr std::int32_t kMostZonalDegree = 10;

/// One pair of degrees at an order m: out += a source for cosines and sines alike, with a = sum over
/// terms of value w[l]. The sines of m = 0 do not exist.
struct ZonalPair {
  std::int32_t in = 0, in_sine = 0, out = 0, out_sine = 0; ///< components in the frame's order
  std::int32_t first_term = 0, n_terms = 0;
};

/// w[l]: the radial functions of the filter's degree l.
struct ZonalTerm {
  std::int32_t l = 0;
  double value = 0.0;
};

/// An entry [i, j], i < j, of an antisymmetric matrix.
struct Turn {
  std::int32_t i = 0, j = 0;
  double value = 0.0;
};

/// Gaunt convolution in the frame of the edge. The frame's order of components: degree by degree, the
/// cosines of m = 0 .. l, then the sines of m = 1 .. l. docs/spec/gaunt.md
struct ZonalProduct {
  ValueId out = kNoValue;
  Input source;
  std::int32_t radial = -1; ///< [filter's degrees, channels], each degree's channels padded
  std::int32_t l_source = 0, l_out = 0, l_turned = 0;
  std::int32_t entries = 0;
  std::vector<double> polar; ///< [2 l_turned + 1, entries] of 1, cos(k beta), sin(k beta)
  std::vector<ZonalPair> pairs;
  std::int32_t n_axial = 0; ///< pairs with m = 0: the first ones
  std::vector<ZonalTerm> terms;
  std::vector<Turn> turns[2]; ///< generators of turns of the edge along its two tangents
};

/// Rows of the first kind pass through a function, others are multiplied with one of a channel.
struct GateRow {
  std::int32_t in = -1, out = -1; ///< block
  std::int32_t gate = -1;         ///< block of the gates, or -1: scalars
  std::int32_t channel = 0;       ///< of the gates: first
  std::int32_t channels = 0;
  std::int32_t function = 0; ///< kIdentity ...
};

inline constexpr std::int32_t kIdentity = 0;
inline constexpr std::int32_t kSilu = 1;
inline constexpr std::int32_t kTanh = 2;
inline constexpr std::int32_t kSigmoid = 3;

struct BlockGate {
  ValueId out = kNoValue;
  Input in;
  std::vector<GateRow> rows;
};

/// out = in scale / sqrt(mean over blocks of mean in^2 + eps)
struct RmsNorm {
  ValueId out = kNoValue;
  Input in;
  double eps = 0.0;
  std::vector<std::vector<double>> scale; ///< of each block, [channels]
};

/// A polynomial of the components, channel by channel, with coefficients of each species and channel.
/// Monomials form a tree: each is its parent's times one more component, so that products are made
/// once; parents come before their children.
struct Monomial {
  std::int32_t parent = -1; ///< -1: none
  std::int32_t component = 0;
  std::int32_t first_term = 0, n_terms = 0;
  bool has_children = false;
};

struct Polynomial {
  ValueId out = kNoValue;
  Input in;
  std::vector<Monomial> monomials;
  std::vector<std::int32_t> target; ///< [n_terms] component of the output
  std::vector<double> coefficients; ///< [n_species, n_terms, channels]
};

/// How products of functions on the sphere are computed; convolutions: Sparse or Aligned.
enum class Lowering { Sparse, Grid, Fourier, Aligned };

/// One non-zero of the table of a bilinear product: out[k] += value a[i] b[j].
struct Triple {
  std::int32_t i = 0, j = 0, k = 0;
  double value = 0.0;
};

/// Components of a function on the sphere <-> its values at points, of which the transposed map is
/// the projection where weights are in. Dense: values = matrix x. Separable (rings of points): for
/// each order m, series[ring, m] = sum over l of polar[m][ring, l] x_lm; then along each ring values =
/// azimuthal series. docs/spec/gaunt.md
struct SphereTransform {
  std::int32_t n_components = 0;
  std::int32_t n_points = 0;
  std::vector<double> matrix; ///< dense: [points, components]
  std::int32_t n_rings = 0;   ///< separable; 0: dense
  /// One after another for m = -l_max .. l_max: [rings, l_max - |m| + 1]
  std::vector<double> polar;
  std::vector<double> azimuthal; ///< [points of a ring, 2 l_max + 1]
  /// Position in the transform's own order (by m, then l) -> component; the identity where dense.
  std::vector<std::int32_t> order;
};

/// Product of two values by a bilinear map that is diagonal in channels. Scales: [l_max + 1,
/// channels] or empty.
struct SphereProduct {
  ValueId out = kNoValue;
  Input a, b;
  Lowering lowering = Lowering::Sparse;
  std::vector<double> scale_a, scale_b, scale_out, scale_curl;
  std::vector<Triple> gaunt, curl; ///< sparse
  /// Else: values of both factors, projection of the product.
  SphereTransform of_a, of_b, of_out;
  /// Slopes along two tangents, for the curl.
  SphereTransform gradient_a[2], gradient_b[2];
};

/// out[lm] = sum over nu of weight_nu[z, l] (projection of f^nu on S_lm): a polynomial by its values at
/// points.
struct SpherePower {
  ValueId out = kNoValue;
  Input in;
  Lowering lowering = Lowering::Grid;
  SphereTransform of_in, of_out;
  std::int32_t n_orders = 0;
  std::vector<double> weights; ///< [n_species, n_orders, l_max + 1, channels]
};

/// Screened nuclear repulsion of each pair of species; see docs/spec/model_file.md.
struct Repulsion {
  std::int32_t n_species = 0;
  double p = 0.0;
  std::vector<double> prefactor, range; ///< [n_species, n_species] eV Angstrom, Angstrom
  /// [n_species, n_species, n_terms] 1/Angstrom
  std::vector<double> exponents;
  std::vector<double> coefficients; ///< [n_terms]
};

struct Add {
  ValueId out = kNoValue;
  Input a, b;
  /// Block of the output for each of b's, where b has not all of them; else empty.
  std::vector<std::int32_t> blocks;
};

struct Norm {
  ValueId out = kNoValue;
  Input in;
  double eps = 0.0;
  std::vector<double> scale, shift; ///< [l_max + 1, channels], [channels]
};

struct Gate {
  ValueId out = kNoValue;
  Input features, gates;
};

struct Attention {
  ValueId out = kNoValue;
  Input source, center;
  std::int32_t matrix = -1, radial = -1;
  std::int32_t heads = 0;
  double negative_slope = 0.0, eps = 0.0;
  std::vector<double> logit_weight, value_weight, gate_weight; ///< [channels in, channels out]
  std::vector<double> logit_bias, value_bias, gate_bias;       ///< [channels]
  /// [channels], heads one after another
  std::vector<double> logit_vector;
};

struct Dense {
  std::int32_t n_in = 0, n_out = 0;
  std::vector<double> weight; ///< [n_out, n_in]
  std::vector<double> bias;   ///< [n_out], zeros where the model has none
  bool silu = false;
};

/// Adds an MLP of component 0 to the atom's energy.
struct Readout {
  Input in;
  std::vector<Dense> layers;
};

struct DirectForces {
  Input in;
};

using Stage = std::variant<Embedding,
                           NeighborSum,
                           Linear,
                           Add,
                           Norm,
                           Gate,
                           Attention,
                           BlockLinear,
                           EdgeProduct,
                           ZonalProduct,
                           BlockGate,
                           RmsNorm,
                           Polynomial,
                           SphereProduct,
                           SpherePower,
                           Repulsion,
                           Readout,
                           DirectForces>;

/// One array of node rows in memory; values and adjoints take turns in it.
struct Buffer {
  std::int64_t width = 0; ///< scalars a row
  bool on_ghosts = false;
};

struct Plan {
  double cutoff = 0.0; ///< Angstrom
  std::int32_t l_max = 0;
  std::int32_t harmonics = 0; ///< components of Y that stages read directly; 0: none
  bool direct_forces = false;
  std::vector<Lowering> products;     ///< of each product or polynomial of functions on the sphere
  std::vector<Lowering> convolutions; ///< of each convolution of such functions
  std::vector<Coupling> couplings;
  std::vector<RadialTable> radials;
  std::vector<NodeValue> values;
  std::vector<Stage> stages; ///< forward order
  std::vector<Buffer> buffers;
};

/// "sparse", "grid", "fourier" or "aligned".
std::string name_of(Lowering lowering);

/// Of a product: sparse, grid or fourier. Throws Error for any other word.
Lowering product_lowering_from_name(std::string_view name);

/// Of a convolution: sparse or aligned. Throws Error for any other word.
Lowering convolution_lowering_from_name(std::string_view name);

/// One line a stage, for logs and for issues.
std::string describe(const Plan& plan);

} // namespace eqnn::plan
