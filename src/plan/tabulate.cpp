// SPDX-License-Identifier: BSD-3-Clause
// Radial functions as piecewise Chebyshev interpolants, stored as monomials: the kernels evaluate
// value and slope with one Horner pass, and the forces are the exact derivative of the tabulated
// energy. A high degree keeps the table small enough for the L2 cache. The function is evaluated in
// extended precision: rounding errors of nearby nodes would be magnified in the slope.
#include "base/error.hpp"
#include "plan/compile.hpp"

#include <Eigen/Core>

#include <algorithm>
#include <cmath>
#include <limits>

namespace eqnn::plan {
namespace {

using Real = long double;
using Matrix = Eigen::Matrix<Real, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Vector = Eigen::Matrix<Real, Eigen::Dynamic, 1>;

Vector as_vector(const Tensor& tensor) {
  return Eigen::Map<const Eigen::VectorXd>(tensor.values.data(), tensor.size()).cast<Real>();
}

Matrix as_matrix(const Tensor& tensor) {
  return Eigen::Map<const Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>(
             tensor.values.data(), tensor.shape[0], tensor.shape[1])
      .cast<Real>();
}

/// Double precision, for what is linear: no rounding errors of nearby nodes are magnified there.
using DoubleMatrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// A radial function at many distances at once, as W h(r): the few functions h are evaluated in
/// extended precision, and the many outputs of a linear last layer are sums of them.
class Function {
public:
  Function(const RadialStage& radial, double cutoff)
      : radial_(radial)
      , cutoff_(cutoff)
      , basis_(std::visit([](const auto& basis) { return made_ready(basis); }, radial.basis)) {
    const MlpLayer& last = radial.layers.back();
    const bool is_linear = last.activation == Activation::None && !last.layer_norm;
    n_hidden_ = radial.layers.size() - (is_linear ? 1 : 0);
    for (std::size_t k = 0; k < n_hidden_; ++k) {
      weights_.push_back(as_matrix(radial.layers[k].weight));
    }
    if (is_linear) {
      // One more function, the constant, for the bias.
      output_.resize(last.weight.shape[0], last.weight.shape[1] + (last.bias ? 1 : 0));
      output_.leftCols(last.weight.shape[1]) = as_matrix(last.weight).template cast<double>();
      has_constant_ = last.bias.has_value();
      if (has_constant_) {
        output_.rightCols(1) = as_vector(*last.bias).template cast<double>();
      }
    } else {
      output_ = DoubleMatrix::Identity(last.weight.shape[0], last.weight.shape[0]);
    }
  }

  /// W [channels, functions]
  const DoubleMatrix& output() const { return output_; }

  /// h [functions, points] at the distances r (Angstrom).
  Matrix operator()(const Vector& r) const {
    Matrix x(basis_.scale.size(), r.size());
    for (Eigen::Index p = 0; p < r.size(); ++p) {
      x.col(p) = basis_.at(r(p)) * (radial_.envelope.on_basis ? envelope(r(p)) : 1);
    }
    for (std::size_t k = 0; k < n_hidden_; ++k) {
      x = apply(radial_.layers[k], weights_[k] * x);
    }
    if (has_constant_) {
      x.conservativeResize(x.rows() + 1, Eigen::NoChange);
      x.bottomRows(1).setOnes();
    }
    if (!radial_.envelope.on_basis) {
      for (Eigen::Index k = 0; k < r.size(); ++k) {
        x.col(k) *= envelope(r(k));
      }
    }
    return x;
  }

private:
  /// g_k(r) = scale exp(-((r - center)/width)^2/2), or scale sin(center r)/r where there are no
  /// widths.
  struct Basis {
    Vector scale, center, width;

    Vector at(Real r) const {
      if (width.size() == 0) {
        return (scale.array() * (center.array() * r).sin() / r).matrix();
      }
      return (scale.array() * (-0.5L * ((r - center.array()) / width.array()).square()).exp())
          .matrix();
    }
  };

  static Basis made_ready(const GaussianBasis& basis) {
    return {as_vector(basis.amplitude), as_vector(basis.center), as_vector(basis.width)};
  }

  static Basis made_ready(const BesselBasis& basis) {
    return {as_vector(basis.amplitude), as_vector(basis.frequency), {}};
  }

  Real envelope(Real r) const {
    const Envelope& u = radial_.envelope;
    if (u.kind == EnvelopeKind::Polynomial) {
      // 1 - (p+1)(p+2)/2 s^p + p(p+2) s^(p+1) - p(p+1)/2 s^(p+2), Gasteiger et al. 2020
      const Real p = u.p;
      const Real s = r / cutoff_;
      return 1 - std::pow(s, p) * ((p + 1) * (p + 2) / 2 - s * (p * (p + 2) - s * p * (p + 1) / 2));
    }
    if (u.kind == EnvelopeKind::Xplor && r > u.start) {
      const Real c2 = Real(cutoff_) * cutoff_;
      const Real a2 = Real(u.start) * u.start;
      return (c2 - r * r) * (c2 - r * r) * (c2 + 2 * r * r - 3 * a2) /
             ((c2 - a2) * (c2 - a2) * (c2 - a2));
    }
    return 1;
  }

  static Matrix apply(const MlpLayer& layer, Matrix y) {
    if (layer.bias) {
      y.colwise() += as_vector(*layer.bias);
    }
    if (layer.layer_norm) {
      y.rowwise() -= y.colwise().mean().eval();
      const Real eps = layer.layer_norm->eps;
      for (Eigen::Index p = 0; p < y.cols(); ++p) {
        y.col(p) /= std::sqrt(y.col(p).squaredNorm() / static_cast<Real>(y.rows()) + eps);
        y.col(p) = (y.col(p).array() * as_vector(layer.layer_norm->scale).array() +
                    as_vector(layer.layer_norm->shift).array())
                       .matrix()
                       .eval();
      }
    }
    if (layer.activation == Activation::Silu) {
      y = (y.array() / (1 + (-y.array()).exp())).matrix().eval();
    }
    return y;
  }

  const RadialStage& radial_;
  double cutoff_;
  Basis basis_;
  std::vector<Matrix> weights_; ///< of the hidden layers
  std::size_t n_hidden_ = 0;
  bool has_constant_ = false;
  DoubleMatrix output_;
};

/// Values at the Chebyshev nodes -> coefficients of 1, t, t^2, ...: [degree + 1 powers, degree + 1
/// nodes].
Matrix monomials_from_nodes(std::int32_t degree, Vector& nodes) {
  const Eigen::Index n = degree + 1;
  const Real pi = std::acos(Real(-1));
  Matrix chebyshev = Matrix::Zero(n, n); // powers of T_n: T_n = 2 t T_{n-1} - T_{n-2}
  chebyshev(0, 0) = 1;
  if (n > 1) {
    chebyshev(1, 1) = 1;
  }
  for (Eigen::Index k = 2; k < n; ++k) {
    chebyshev.row(k).tail(n - 1) = 2 * chebyshev.row(k - 1).head(n - 1);
    chebyshev.row(k) -= chebyshev.row(k - 2);
  }
  Matrix transform(n, n); // values at nodes -> coefficients of T_n
  nodes.resize(n);
  for (Eigen::Index node = 0; node < n; ++node) {
    const Real angle = pi * (static_cast<Real>(node) + 0.5L) / static_cast<Real>(n);
    nodes(node) = std::cos(angle);
    for (Eigen::Index k = 0; k < n; ++k) {
      transform(k, node) =
          (k == 0 ? 1 : 2) * std::cos(static_cast<Real>(k) * angle) / static_cast<Real>(n);
    }
  }
  return chebyshev.transpose() * transform;
}

void fit(const Function& function, double cutoff, RadialTable& table) {
  Vector nodes;
  const Matrix transform = monomials_from_nodes(table.degree, nodes);
  const Real half = Real(cutoff) / (2 * table.n_intervals);
  const Eigen::Index n_powers = table.degree + 1;
  table.coefficients.resize(static_cast<std::size_t>(table.n_intervals) *
                            static_cast<std::size_t>(n_powers) *
                            static_cast<std::size_t>(table.channels));
  for (std::int32_t interval = 0; interval < table.n_intervals; ++interval) {
    const Vector r = ((2 * interval + 1) * half + half * nodes.array()).matrix();
    const DoubleMatrix powers = (transform * function(r).transpose()).cast<double>();
    Eigen::Map<DoubleMatrix>(table.coefficients.data() +
                                 std::ptrdiff_t{interval} * n_powers * table.channels,
                             n_powers,
                             table.channels) = powers * function.output().transpose();
  }
}

/// Largest difference between table and function on points between the nodes, over the function's
/// largest value.
double measure_error(const Function& function, double cutoff, const RadialTable& table) {
  const Vector samples = (Vector(4) << -0.93L, -0.33L, 0.27L, 0.87L).finished();
  const Eigen::Index n_powers = table.degree + 1;
  const Real half = Real(cutoff) / (2 * table.n_intervals);
  DoubleMatrix powers(samples.size(), n_powers);
  for (Eigen::Index k = 0; k < n_powers; ++k) {
    powers.col(k) = samples.cast<double>().array().pow(static_cast<double>(k)).matrix();
  }
  double error = 0.0;
  double largest = 0.0;
  for (std::int32_t interval = 0; interval < table.n_intervals; ++interval) {
    const Vector r = ((2 * interval + 1) * half + half * samples.array()).matrix();
    const DoubleMatrix exact =
        function(r).transpose().cast<double>() * function.output().transpose();
    const Eigen::Map<const DoubleMatrix> in(
        table.coefficients.data() + std::ptrdiff_t{interval} * n_powers * table.channels,
        n_powers,
        table.channels);
    const DoubleMatrix found = powers * in;
    for (Eigen::Index k = 0; k < found.size(); ++k) {
      const double difference = std::abs(found.data()[k] - exact.data()[k]);
      error = (std::isnan(difference) || difference > error) ? difference : error;
      largest = std::max(largest, std::abs(exact.data()[k]));
    }
  }
  return largest > 0.0 ? error / largest : error;
}

/// Intervals that no feature of the basis can hide in: a Gaussian narrower than the spacing of the
/// points, a sine with several periods.
double resolving_intervals(const RadialStage& radial, double cutoff) {
  if (const auto* gaussian = std::get_if<GaussianBasis>(&radial.basis)) {
    const auto& widths = gaussian->width.values;
    return cutoff / (4.0 * *std::min_element(widths.begin(), widths.end()));
  }
  double fastest = 0.0;
  for (const double frequency : std::get<BesselBasis>(radial.basis).frequency.values) {
    fastest = std::max(fastest, std::abs(frequency));
  }
  return cutoff * fastest / std::acos(-1.0) / 2.0;
}

/// The number of intervals is a multiple of this: XPLOR's second derivative jumps where it begins,
/// which must be the end of an interval.
std::int32_t interval_multiple(const Envelope& envelope, double cutoff) {
  return envelope.kind == EnvelopeKind::Xplor ? std::max(1, xplor_parts(envelope.start, cutoff))
                                              : 1;
}

} // namespace

RadialTable tabulate(const RadialStage& radial, double cutoff, const Options& options) {
  constexpr std::int32_t kFewestIntervals = 8;
  constexpr std::int32_t kMostIntervals = 4096;
  const Function function(radial, cutoff);
  RadialTable table;
  table.degree = options.radial_degree;
  table.channels = static_cast<std::int32_t>(radial.layers.back().weight.shape[0]);
  const std::int32_t multiple = interval_multiple(radial.envelope, cutoff);
  table.error = std::numeric_limits<double>::infinity();
  table.n_intervals = static_cast<std::int32_t>(std::clamp<double>(
      resolving_intervals(radial, cutoff), kFewestIntervals, 2.0 * kMostIntervals));
  for (; table.n_intervals <= kMostIntervals; table.n_intervals += table.n_intervals / 2) {
    table.n_intervals = (table.n_intervals + multiple - 1) / multiple * multiple;
    fit(function, cutoff, table);
    table.error = measure_error(function, cutoff, table);
    if (table.error <= options.radial_tolerance) {
      return table;
    }
  }
  fail("a radial function cannot be tabulated to ",
       options.radial_tolerance,
       " (",
       table.error,
       " with up to ",
       kMostIntervals,
       " intervals): it varies too fast, or is not finite. Check its basis functions.");
}

} // namespace eqnn::plan
