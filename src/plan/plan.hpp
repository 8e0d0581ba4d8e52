// SPDX-License-Identifier: BSD-3-Clause
// What will be executed: flat tables in double, stages in order, buffers assigned. Names no
// architecture. Made by compile().
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace eqnn::plan {

/// Index into Plan::values. kNoValue: none.
using ValueId = std::int32_t;
inline constexpr ValueId kNoValue = -1;

/// Node features [node, components, channels] and, during the reverse pass, their adjoint. Values
/// with the same buffer are never alive together.
struct NodeValue {
  std::string name;
  std::int32_t components = 0;
  std::int32_t channels = 0;
  bool on_ghosts = false; ///< neighbours read it: ghost rows exist and are exchanged
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

struct Add {
  ValueId out = kNoValue;
  Input a, b;
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

using Stage =
    std::variant<Embedding, NeighborSum, Linear, Add, Norm, Gate, Attention, Readout, DirectForces>;

/// One array of node rows in memory; values and adjoints take turns in it.
struct Buffer {
  std::int64_t width = 0; ///< scalars a row
  bool on_ghosts = false;
};

struct Plan {
  double cutoff = 0.0; ///< Angstrom
  std::int32_t l_max = 0;
  double energy_scale = 1.0;
  std::vector<double> atom_energy; ///< [n_species] shift + reference energy, eV
  bool isolated_atoms_are_zero = false;
  bool direct_forces = false;
  std::vector<Coupling> couplings;
  std::vector<RadialTable> radials;
  std::vector<NodeValue> values;
  std::vector<Stage> stages; ///< forward order
  std::vector<Buffer> buffers;
};

/// One line a stage, for logs and for issues.
std::string describe(const Plan& plan);

} // namespace eqnn::plan
