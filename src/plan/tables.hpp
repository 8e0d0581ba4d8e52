// SPDX-License-Identifier: BSD-3-Clause
// Tables of a plan that several stages share.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace eqnn::plan {

/// Piecewise polynomial of all channels of a radial function of one pair of species on [0, cutoff]. The
/// intervals have different lengths: short ones where the function varies fast. On interval n,
/// w_c(r) = sum_p coefficients[n][p][c] t^p with t = (r - middle[n]) scale[n] in [-1, 1].
struct PairTable {
  std::vector<std::int32_t> interval_of_cell; ///< of equal cells of [0, cutoff]
  std::vector<double> middle, scale;          ///< [n_intervals] Angstrom, 1/Angstrom
  std::vector<double> coefficients;           ///< [n_intervals, degree + 1, channels]
};

/// A radial function that depends on the species of both atoms. 89 elements have thousands of
/// pairs, so a table is made when its pair first occurs.
class PairTables {
public:
  virtual ~PairTables() = default;
  virtual std::int32_t n_species() const = 0;
  /// Whether the pair (j, i) has the function of (i, j).
  virtual bool is_symmetric() const = 0;
  /// Cells of every table.
  virtual std::int32_t n_cells() const = 0;
  /// Throws Error where the tolerance is out of reach.
  virtual PairTable make(std::int32_t center, std::int32_t source) const = 0;
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
  /// Of a function that depends on species, in place of intervals and coefficients.
  std::shared_ptr<const PairTables> pairs;
  /// [channels] which channel of a pair's table stands here, -1: padding. Empty: all as they are.
  std::vector<std::int32_t> channel_of_pair;
};

/// T[j][i][k] of M[i][k] = sum_j T[j][i][k] Y_j (the transpose of the model's M: input component
/// first).
struct Coupling {
  std::int32_t components = 0;
  std::vector<double> values; ///< [d, d, d]
};

/// One array of node rows in memory; values and adjoints take turns in it.
struct Buffer {
  std::int64_t width = 0; ///< scalars a row
  bool on_ghosts = false;
};

/// How a coupling in factors is computed: as one dense matrix an edge, factor by factor on each edge, or
/// with the factors of features on nodes.
enum class CouplingMethod { Matrix, Cp, Node };

std::string name_of(CouplingMethod method);
/// Throws Error for another name than matrix, cp or node.
CouplingMethod coupling_method_from_name(std::string_view name);

/// How products of functions on the sphere are computed; convolutions: Sparse or Aligned.
enum class SphereMethod { Sparse, Grid, Fourier, Aligned };

/// "sparse", "grid", "fourier" or "aligned".
std::string name_of(SphereMethod method);

/// Of a product: sparse, grid or fourier. Throws Error for any other word.
SphereMethod product_method_from_name(std::string_view name);

/// Of a convolution: sparse or aligned. Throws Error for any other word.
SphereMethod convolution_method_from_name(std::string_view name);

/// Functions of one variable that stages apply.
inline constexpr std::int32_t kIdentity = 0;
inline constexpr std::int32_t kSilu = 1;
inline constexpr std::int32_t kTanh = 2;
inline constexpr std::int32_t kSigmoid = 3;
inline constexpr std::int32_t kAbs = 4;
inline constexpr std::int32_t kGelu = 5;
inline constexpr std::int32_t kMish = 6;

} // namespace eqnn::plan
