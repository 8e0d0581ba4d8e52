// SPDX-License-Identifier: BSD-3-Clause
// Tables of a plan that its stages share.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace eqnn::plan {

/// Piecewise polynomials on [0, cutoff] for all channels of a radial function, for one pair of
/// species. Intervals are shorter where the function varies fast. On interval n, w_c(r) = sum_p
/// coefficients[n][p][c] t^p with t = (r - middle[n]) scale[n] in [-1, 1].
struct PairTable {
  std::vector<std::int32_t> interval_of_cell; ///< for each of the equal cells of [0, cutoff]
  std::vector<double> middle, scale;          ///< [n_intervals] Angstrom, 1/Angstrom
  std::vector<double> coefficients;           ///< [n_intervals, degree + 1, channels]
};

/// A radial function that depends on the species of both atoms. 89 elements have thousands of
/// pairs, so the table of a pair is made when the pair first occurs.
class PairTables {
public:
  virtual ~PairTables() = default;
  virtual std::int32_t n_species() const = 0;
  /// Whether pairs (j, i) and (i, j) have the same function.
  virtual bool is_symmetric() const = 0;
  /// Number of cells of every table.
  virtual std::int32_t n_cells() const = 0;
  /// Throws Error if the tolerance cannot be reached.
  virtual PairTable make(std::int32_t center, std::int32_t source) const = 0;
};

/// Piecewise polynomials on [0, cutoff] for all channels of a radial function. On interval n of
/// n_intervals equal ones, w_c(r) = sum_p coefficients[n][p][c] t^p with t in [-1, 1].
struct RadialTable {
  std::int32_t degree = 0;
  std::int32_t n_intervals = 0;
  std::int32_t channels = 0;
  std::vector<double> coefficients; ///< [n_intervals, degree + 1, channels]
  /// largest |table - function| over largest |function|, on points between the nodes
  double error = 0.0;
  /// For a function that depends on species; replaces intervals and coefficients.
  std::shared_ptr<const PairTables> pairs;
  /// [channels] the channel of a pair's table at this position, -1: padding. Empty: the same order.
  std::vector<std::int32_t> channel_of_pair;
};

/// T[j][i][k] in M[i][k] = sum_j T[j][i][k] Y_j. This is the transpose of the model's M, with the
/// input component first.
struct Coupling {
  std::int32_t components = 0;
  std::vector<double> values; ///< [d, d, d]
};

/// One array of node rows in memory, which values and adjoints share at different times.
struct Buffer {
  std::int64_t width = 0; ///< scalars per row
  bool on_ghosts = false;
};

/// How a factorized coupling is computed: as one dense matrix per edge, factor by factor on each
/// edge, or with the factors of features applied on nodes.
enum class CouplingMethod { Matrix, Cp, Node };

std::string name_of(CouplingMethod method);
/// Throws Error for any name except matrix, cp or node.
CouplingMethod coupling_method_from_name(std::string_view name);

/// How products (Sparse, Grid, Fourier) and convolutions (Sparse, Aligned) of functions on the
/// sphere are computed.
enum class SphereMethod { Sparse, Grid, Fourier, Aligned };

/// "sparse", "grid", "fourier" or "aligned".
std::string name_of(SphereMethod method);

/// For products. Throws Error for any name except sparse, grid or fourier.
SphereMethod product_method_from_name(std::string_view name);

/// For convolutions. Throws Error for any name except sparse or aligned.
SphereMethod convolution_method_from_name(std::string_view name);

/// Functions of one variable that stages apply.
inline constexpr std::int32_t kIdentity = 0;
inline constexpr std::int32_t kSilu = 1;
inline constexpr std::int32_t kTanh = 2;
inline constexpr std::int32_t kSigmoid = 3;
inline constexpr std::int32_t kAbs = 4;
inline constexpr std::int32_t kGelu = 5;
inline constexpr std::int32_t kMish = 6;
inline constexpr std::int32_t kShiftedSoftplus = 7;

} // namespace eqnn::plan
