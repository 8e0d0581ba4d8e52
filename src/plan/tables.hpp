// SPDX-License-Identifier: BSD-3-Clause
// Tables of a plan that several stages share.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace eqnn::plan {

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

/// Functions of one number that stages apply.
inline constexpr std::int32_t kIdentity = 0;
inline constexpr std::int32_t kSilu = 1;
inline constexpr std::int32_t kTanh = 2;
inline constexpr std::int32_t kSigmoid = 3;

} // namespace eqnn::plan
