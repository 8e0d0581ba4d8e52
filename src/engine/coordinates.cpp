// SPDX-License-Identifier: BSD-3-Clause
#include "engine/coordinates.hpp"

#include <algorithm>
#include <cmath>

namespace eqnn::engine {
namespace {

/// m x
std::array<double, 3> times(const Matrix3& m, const double* x) {
  return {m[0] * x[0] + m[1] * x[1] + m[2] * x[2],
          m[3] * x[0] + m[4] * x[1] + m[5] * x[2],
          m[6] * x[0] + m[7] * x[1] + m[8] * x[2]};
}

} // namespace

Coordinates::Coordinates(const RelaxInput& input, bool with_cell)
    : structure_(input.structure)
    , fixed_(input.fixed)
    , with_cell_(with_cell && input.structure.cell)
    , n_(input.structure.positions.size()) {
  for (const auto& position : structure_.positions) {
    x_.insert(x_.end(), position.begin(), position.end());
  }
  if (with_cell_) {
    first_cell_ = *structure_.cell;
    x_.resize(x_.size() + 9, 0.0);
  }
  first_x_ = x_;
}

std::vector<double> Coordinates::pull(const std::vector<double>& forces,
                                      const std::array<double, 9>& virial) const {
  std::vector<double> out = forces;
  for (std::size_t i = 0; i < fixed_.size(); ++i) {
    if (fixed_[i] != 0) {
      std::fill_n(out.begin() + static_cast<std::ptrdiff_t>(3 * i), 3, 0.0);
    }
  }
  if (!with_cell_) {
    return out;
  }
  const Matrix3 transpose = transposed(deformation_);
  for (std::size_t i = 0; i < n_; ++i) {
    const std::array<double, 3> f = times(transpose, &out[3 * i]);
    std::copy(f.begin(), f.end(), out.begin() + static_cast<std::ptrdiff_t>(3 * i));
  }
  // The force on F is -dE/dF = symmetric F^-T. The virial is symmetric only up to rounding.
  Matrix3 symmetric = virial;
  for (std::size_t a = 0; a < 3; ++a) {
    for (std::size_t b = 0; b < 3; ++b) {
      symmetric[3 * a + b] = 0.5 * (virial[3 * a + b] + virial[3 * b + a]);
    }
  }
  const Matrix3 of_deformation = product<3>(symmetric, inverse(transpose));
  const auto n = static_cast<double>(n_);
  Matrix3 log_deformation{};
  std::copy(x_.end() - 9, x_.end(), log_deformation.begin());
  for (double& entry : log_deformation) {
    entry /= n;
  }
  for (std::size_t k = 0; k < 9; ++k) {
    Matrix3 direction{};
    direction[k] = 1.0;
    const Matrix3 derivative = exponential_derivative(log_deformation, direction);
    double sum = 0.0;
    for (std::size_t j = 0; j < 9; ++j) {
      sum += derivative[j] * of_deformation[j];
    }
    out.push_back(sum / n);
  }
  return out;
}

void Coordinates::move(const std::vector<double>& by) {
  for (std::size_t k = 0; k < x_.size(); ++k) {
    x_[k] += by[k];
  }
  if (with_cell_) {
    Matrix3 log_deformation{};
    std::copy(x_.end() - 9, x_.end(), log_deformation.begin());
    for (double& entry : log_deformation) {
      entry /= static_cast<double>(n_);
    }
    deformation_ = exponential<3>(log_deformation);
    structure_.cell = product<3>(first_cell_, transposed(deformation_));
  }
  for (std::size_t i = 0; i < n_; ++i) {
    if (with_cell_) {
      structure_.positions[i] = times(deformation_, &x_[3 * i]);
    } else {
      std::copy_n(
          x_.begin() + static_cast<std::ptrdiff_t>(3 * i), 3, structure_.positions[i].begin());
    }
  }
}

double Coordinates::farthest() const {
  double farthest = 0.0;
  for (std::size_t k = 0; k < 3 * n_; k += 3) {
    farthest = std::max(
        farthest,
        std::hypot(x_[k] - first_x_[k], x_[k + 1] - first_x_[k + 1], x_[k + 2] - first_x_[k + 2]));
  }
  return farthest;
}

} // namespace eqnn::engine
