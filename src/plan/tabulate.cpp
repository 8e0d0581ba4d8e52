// SPDX-License-Identifier: BSD-3-Clause
// Tabulates radial functions as piecewise Chebyshev interpolants, stored as monomials. Kernels
// evaluate value and slope in one Horner pass, so forces are the exact derivative of the tabulated
// energy. A high degree keeps the table small enough for the L2 cache. The function is evaluated in
// extended precision, because the slope would magnify rounding errors of nearby nodes.
#include "base/error.hpp"
#include "plan/compile.hpp"

#include <Eigen/Core>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <type_traits>
#include <utility>

namespace eqnn::plan {
namespace {

using Real = long double;
template <class T> using MatrixOf =
    Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T> using VectorOf = Eigen::Matrix<T, Eigen::Dynamic, 1>;
using Matrix = MatrixOf<Real>;
using Vector = VectorOf<Real>;

template <class T> VectorOf<T> as_vector(const Tensor& tensor) {
  return Eigen::Map<const Eigen::VectorXd>(tensor.values.data(), tensor.size()).cast<T>();
}

template <class T> MatrixOf<T> as_matrix(const Tensor& tensor) {
  return Eigen::Map<const MatrixOf<double>>(tensor.values.data(), tensor.shape[0], tensor.shape[1])
      .cast<T>();
}

/// Double precision suffices for the linear part: it does not magnify rounding errors of nearby
/// nodes.
using DoubleMatrix = MatrixOf<double>;

/// W x [outputs, points]. The weights of a layer are doubles, for any precision of x.
MatrixOf<double> product(const DoubleMatrix& weight, const MatrixOf<double>& x) {
  return weight * x;
}

/// Written by hand, because Eigen's product keeps more sums than there are registers of extended
/// precision.
Matrix product(const DoubleMatrix& weight, const Matrix& x) {
  constexpr Eigen::Index kRows = 4;
  const Eigen::Index n = weight.rows();
  Matrix y(n, x.cols());
  for (Eigen::Index first = 0; first < n; first += kRows) {
    const auto row = [&](Eigen::Index k) { return &weight(std::min(first + k, n - 1), 0); };
    const std::array<const double*, kRows> w{row(0), row(1), row(2), row(3)};
    for (Eigen::Index p = 0; p < x.cols(); ++p) {
      Real a = 0, b = 0, c = 0, d = 0;
      for (Eigen::Index k = 0; k < x.rows(); ++k) {
        const Real value = x(k, p);
        a += w[0][k] * value;
        b += w[1][k] * value;
        c += w[2][k] * value;
        d += w[3][k] * value;
      }
      const std::array<Real, kRows> sums{a, b, c, d};
      std::copy_n(sums.begin(), std::min(kRows, n - first), y.col(p).begin() + first);
    }
  }
  return y;
}

/// A radial function at many distances at once, as W h(r). The few functions h are evaluated in the
/// precision of T. The many outputs of a linear last layer are sums of them.
template <class T> class Function {
public:
  using Matrix = MatrixOf<T>;
  using Vector = VectorOf<T>;

  Function(const RadialStage& radial, double cutoff, T r_0 = 1)
      : radial_(radial)
      , cutoff_(cutoff)
      , r_0_(r_0)
      , basis_(std::visit([](const auto& basis) { return made_ready(basis); }, radial.basis))
      , is_chebyshev_(std::holds_alternative<ChebyshevBasis>(radial.basis)) {
    const MlpLayer& last = radial.layers.back();
    const bool is_linear = last.activation == Activation::None && !last.layer_norm;
    n_hidden_ = radial.layers.size() - (is_linear ? 1 : 0);
    for (std::size_t k = 0; k < n_hidden_; ++k) {
      weights_.push_back(as_matrix<double>(radial.layers[k].weight));
    }
    if (is_linear) {
      // One more function, a constant, for the bias.
      output_.resize(last.weight.shape[0], last.weight.shape[1] + (last.bias ? 1 : 0));
      output_.leftCols(last.weight.shape[1]) = as_matrix<double>(last.weight);
      has_constant_ = last.bias.has_value();
      if (has_constant_) {
        output_.rightCols(1) = as_vector<double>(*last.bias);
      }
    } else {
      output_ = DoubleMatrix::Identity(last.weight.shape[0], last.weight.shape[0]);
    }
    separate_powers();
  }

  /// W [channels, functions]
  const DoubleMatrix& output() const { return output_; }

  /// h [functions, points] at the distances r (Angstrom).
  Matrix operator()(const Vector& r) const {
    Matrix x(basis_.scale.size(), r.size());
    for (Eigen::Index p = 0; p < r.size(); ++p) {
      x.col(p) = functions(transformed(r(p))) * (radial_.envelope.on_basis ? envelope(r(p)) : 1);
    }
    for (std::size_t k = 0; k < n_hidden_; ++k) {
      x = apply(radial_.layers[k], product(weights_[k], x));
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
    if (powers_.empty()) {
      return x;
    }
    Matrix y(x.rows() * static_cast<Eigen::Index>(powers_.size()), x.cols());
    for (std::size_t k = 0; k < powers_.size(); ++k) {
      const Vector factor = r.array().pow(T(powers_[k])).matrix();
      y.middleRows(static_cast<Eigen::Index>(k) * x.rows(), x.rows()) = x * factor.asDiagonal();
    }
    return y;
  }

private:
  /// Repeats the functions h for each power of r that multiplies outputs.
  void separate_powers() {
    const std::vector<std::int32_t>& of_output = radial_.powers;
    powers_ = of_output;
    std::sort(powers_.begin(), powers_.end());
    powers_.erase(std::unique(powers_.begin(), powers_.end()), powers_.end());
    if (powers_.empty()) {
      return;
    }
    const Eigen::Index n = output_.cols();
    DoubleMatrix wide =
        DoubleMatrix::Zero(output_.rows(), n * static_cast<Eigen::Index>(powers_.size()));
    for (std::size_t c = 0; c < of_output.size(); ++c) {
      const auto at = std::lower_bound(powers_.begin(), powers_.end(), of_output[c]);
      const auto row = static_cast<Eigen::Index>(c);
      wide.row(row).segment((at - powers_.begin()) * n, n) = output_.row(row);
    }
    output_ = std::move(wide);
  }

  /// g_k(r) = scale exp(-((r - center)/width)^2/2), or scale sin(center r)/r if there are no
  /// widths.
  struct Basis {
    Vector scale, center, width;

    Vector at(T r) const {
      if (width.size() == 0) {
        return (scale.array() * (center.array() * r).sin() / r).matrix();
      }
      return (scale.array() * (-T(0.5) * ((r - center.array()) / width.array()).square()).exp())
          .matrix();
    }
  };

  Vector functions(T r) const {
    if (!is_chebyshev_) {
      return basis_.at(r);
    }
    Vector t(basis_.scale.size());
    T before = 1;
    T now = r;
    for (Eigen::Index k = 0; k < t.size(); ++k) {
      t(k) = basis_.scale(k) * now;
      before = std::exchange(now, 2 * r * now - before);
    }
    return t;
  }

  static Basis made_ready(const GaussianBasis& basis) {
    return {as_vector<T>(basis.amplitude), as_vector<T>(basis.center), as_vector<T>(basis.width)};
  }

  static Basis made_ready(const BesselBasis& basis) {
    return {as_vector<T>(basis.amplitude), as_vector<T>(basis.frequency), {}};
  }

  static Basis made_ready(const ChebyshevBasis& basis) {
    return {as_vector<T>(basis.amplitude), {}, {}};
  }

  T transformed(T r) const {
    const T x = r / r_0_;
    if (const auto* agnesi = std::get_if<AgnesiTransform>(&radial_.transform)) {
      const T q = agnesi->q;
      return 1 / (1 + agnesi->a * std::pow(x, q) / (1 + std::pow(x, q - agnesi->p)));
    }
    if (const auto* soft = std::get_if<SoftTransform>(&radial_.transform)) {
      const T begin = T(0.75) * r_0_;
      const T end = 4 * r_0_ / 3;
      const T steep = soft->alpha / (end - begin);
      return begin + (r - begin) * (1 + std::tanh(steep * (r - (begin + end) / 2))) / 2;
    }
    return has_pair_cutoffs() ? x : r;
  }

  bool has_pair_cutoffs() const { return std::holds_alternative<PairCutoffs>(radial_.transform); }

  T envelope(T r) const {
    const Envelope& u = radial_.envelope;
    if (has_pair_cutoffs()) {
      r /= r_0_;
      if (r >= cutoff_) {
        return 0;
      }
    }
    if (u.kind == EnvelopeKind::Polynomial) {
      // 1 - (p+1)(p+2)/2 s^p + p(p+2) s^(p+1) - p(p+1)/2 s^(p+2), Gasteiger et al. 2020
      const T p = u.p;
      const T s = r / cutoff_;
      return 1 - std::pow(s, p) * ((p + 1) * (p + 2) / 2 - s * (p * (p + 2) - s * p * (p + 1) / 2));
    }
    if (u.kind == EnvelopeKind::Xplor && r > u.start) {
      const T c2 = T(cutoff_) * cutoff_;
      const T a2 = T(u.start) * u.start;
      return (c2 - r * r) * (c2 - r * r) * (c2 + 2 * r * r - 3 * a2) /
             ((c2 - a2) * (c2 - a2) * (c2 - a2));
    }
    return 1;
  }

  static Matrix apply(const MlpLayer& layer, Matrix y) {
    if (layer.bias) {
      y.colwise() += as_vector<T>(*layer.bias);
    }
    if (layer.layer_norm) {
      y.rowwise() -= y.colwise().mean().eval();
      const T eps = layer.layer_norm->eps;
      for (Eigen::Index p = 0; p < y.cols(); ++p) {
        y.col(p) /= std::sqrt(y.col(p).squaredNorm() / static_cast<T>(y.rows()) + eps);
        y.col(p) = (y.col(p).array() * as_vector<T>(layer.layer_norm->scale).array() +
                    as_vector<T>(layer.layer_norm->shift).array())
                       .matrix()
                       .eval();
      }
    }
    if (layer.activation == Activation::Silu) {
      y = (y.array() / (1 + (-y.array()).exp())).matrix().eval();
    }
    if (layer.activation == Activation::Tanh) {
      y = y.array().tanh().matrix().eval();
    }
    if (layer.activation == Activation::Gelu) {
      y = y.unaryExpr([](T v) { return v * (1 + std::erf(v / std::sqrt(T(2)))) / 2; }).eval();
    }
    if (layer.activation == Activation::Mish) {
      y = y.unaryExpr([](T v) {
             const T q = std::exp(-std::abs(v));
             return v * std::tanh(std::max(v, T(0)) + std::log1p(q));
           }).eval();
    }
    if (layer.activation == Activation::ShiftedSoftplus) {
      y = y.unaryExpr([](T v) {
             return std::max(v, T(0)) + std::log1p(std::exp(-std::abs(v))) - std::log(T(2));
           }).eval();
    }
    if (layer.activation == Activation::TanhSquare) {
      y = y.array().square().tanh().matrix().eval();
    }
    return y;
  }

  const RadialStage& radial_;
  double cutoff_;
  T r_0_; ///< length of the transform, Angstrom; for PairCutoffs, cutoff over the largest
  Basis basis_;
  bool is_chebyshev_ = false;
  std::vector<DoubleMatrix> weights_; ///< weights of the hidden layers
  std::size_t n_hidden_ = 0;
  bool has_constant_ = false;
  DoubleMatrix output_;
  std::vector<std::int32_t> powers_; ///< distinct powers of r
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

/// Largest |polynomial - function| and largest |function| at points between the nodes.
struct Deviation {
  double error = 0.0, largest = 0.0;
};

/// A radial function as polynomials on n equal intervals of [0, cutoff].
class EqualIntervals {
public:
  EqualIntervals(const Function<Real>& function, double cutoff, std::int32_t degree)
      : function_(function)
      , cutoff_(cutoff)
      , transform_(monomials_from_nodes(degree, nodes_))
      , samples_((Vector(4) << -0.93L, -0.33L, 0.27L, 0.87L).finished())
      , powers_of_samples_(samples_.size(), degree + 1) {
    for (Eigen::Index k = 0; k <= degree; ++k) {
      powers_of_samples_.col(k) =
          samples_.cast<double>().array().pow(static_cast<double>(k)).matrix();
    }
  }

  /// Fits interval k; coefficients: [degree + 1, channels].
  Deviation fit(std::int32_t n, std::int32_t k, double* coefficients) const {
    const Real half = Real(cutoff_) / (2 * n);
    const Real middle = (2 * k + 1) * half;
    const Vector at_nodes = (middle + half * nodes_.array()).matrix();
    const DoubleMatrix powers = (transform_ * function_(at_nodes).transpose()).cast<double>();
    Eigen::Map<DoubleMatrix> fitted(coefficients, nodes_.size(), function_.output().rows());
    fitted = powers * function_.output().transpose();

    const Vector between = (middle + half * samples_.array()).matrix();
    const DoubleMatrix exact =
        function_(between).transpose().cast<double>() * function_.output().transpose();
    const DoubleMatrix found = powers_of_samples_ * fitted;
    Deviation out;
    for (Eigen::Index p = 0; p < found.size(); ++p) {
      const double difference = std::abs(found.data()[p] - exact.data()[p]);
      out.error = (std::isnan(difference) || difference > out.error) ? difference : out.error;
      out.largest = std::max(out.largest, std::abs(exact.data()[p]));
    }
    return out;
  }

private:
  const Function<Real>& function_;
  double cutoff_;
  Vector nodes_;
  Matrix transform_;
  Vector samples_;
  DoubleMatrix powers_of_samples_; ///< [samples, degree + 1]
};

/// Finds how many equal intervals a table needs. If there are too few, usually one interval shows
/// it: the one at the most difficult distance so far. So all intervals are fitted only for the
/// first number, to find the largest value of the function, and for numbers that no known distance
/// rules out.
class IntervalSearch {
public:
  IntervalSearch(const EqualIntervals& intervals, double cutoff, double tolerance)
      : intervals_(intervals)
      , cutoff_(cutoff)
      , tolerance_(tolerance) {}

  /// Fits the table with its current number of intervals. If it gives up early, the error is that
  /// of one interval.
  void fit(RadialTable& table) {
    const std::int32_t n = table.n_intervals;
    const std::size_t size =
        static_cast<std::size_t>(table.degree + 1) * static_cast<std::size_t>(table.channels);
    std::vector<double> one(size);
    for (const double r : hard_) {
      const auto k = std::min(static_cast<std::int32_t>(r / cutoff_ * n), n - 1);
      if (fails(intervals_.fit(n, k, one.data()), table)) {
        return;
      }
    }
    table.coefficients.resize(static_cast<std::size_t>(n) * size);
    Deviation all;
    std::int32_t worst = 0;
    for (std::int32_t k = 0; k < n; ++k) {
      const Deviation here =
          intervals_.fit(n, k, table.coefficients.data() + static_cast<std::size_t>(k) * size);
      if (is_known_ && fails(here, table)) {
        hard_.push_back(middle(n, k));
        return;
      }
      if (std::isnan(here.error) || here.error > all.error) {
        all.error = here.error;
        worst = k;
      }
      all.largest = std::max(all.largest, here.largest);
    }
    table.error = all.largest > 0.0 ? all.error / all.largest : all.error;
    largest_ = all.largest;
    is_known_ = true;
    hard_.push_back(middle(n, worst));
  }

private:
  /// The largest value was found at other points. So if an error is this close to the tolerance,
  /// all intervals are fitted before deciding.
  static constexpr double kDoubtful = 2.0;

  bool fails(const Deviation& here, RadialTable& table) const {
    if (here.error <= kDoubtful * tolerance_ * largest_) {
      return false;
    }
    table.error = largest_ > 0.0 ? here.error / largest_ : here.error;
    return true;
  }

  double middle(std::int32_t n, std::int32_t k) const { return cutoff_ * (k + 0.5) / n; }

  const EqualIntervals& intervals_;
  double cutoff_;
  double tolerance_;
  double largest_ = 0.0; ///< largest |function|, once it is known
  bool is_known_ = false;
  std::vector<double> hard_; ///< distances at which fits failed or were worst, Angstrom
};

/// Number of intervals that resolves all features of the basis. With fewer, the points could miss a
/// narrow Gaussian or several periods of a sine.
double resolving_intervals(const RadialStage& radial, double cutoff) {
  if (const auto* gaussian = std::get_if<GaussianBasis>(&radial.basis)) {
    const auto& widths = gaussian->width.values;
    return cutoff / (4.0 * *std::min_element(widths.begin(), widths.end()));
  }
  if (const auto* chebyshev = std::get_if<ChebyshevBasis>(&radial.basis)) {
    return static_cast<double>(chebyshev->amplitude.size()) / 2.0;
  }
  double fastest = 0.0;
  for (const double frequency : std::get<BesselBasis>(radial.basis).frequency.values) {
    fastest = std::max(fastest, std::abs(frequency));
  }
  return cutoff * fastest / std::acos(-1.0) / 2.0;
}

/// The number of intervals must be a multiple of this. The second derivative of XPLOR jumps where
/// it begins, and derivatives of other envelopes jump at a pair's cutoff. These distances must be
/// ends of intervals.
std::int32_t interval_multiple(const RadialStage& radial, double cutoff) {
  if (const auto* pairs = std::get_if<PairCutoffs>(&radial.transform)) {
    return pairs->parts;
  }
  return radial.envelope.kind == EnvelopeKind::Xplor
             ? std::max(1, parts_to(radial.envelope.start, cutoff))
             : 1;
}

/// The fit of one interval.
struct IntervalFit {
  DoubleMatrix powers; ///< [degree + 1, functions] coefficients of h in W h(r)
  double error = 0.0;  ///< largest error of the outputs
};

/// A radial function that depends on both species. The intervals of a pair's table are halved until
/// they are short enough. Many intervals are tried for many pairs, so this uses double precision.
class AdaptiveTables final : public PairTables {
public:
  AdaptiveTables(const RadialStage& radial,
                 double cutoff,
                 std::int32_t n_species,
                 const Options& options)
      : radial_(radial)
      , cutoff_(cutoff)
      , n_species_(n_species)
      , tolerance_(options.radial_tolerance)
      , transform_(monomials_from_nodes(options.radial_degree, nodes_))
      , samples_((Eigen::VectorXd(4) << -0.93, -0.33, 0.27, 0.87).finished())
      , powers_of_samples_(samples_.size(), nodes_.size()) {
    for (Eigen::Index k = 0; k < nodes_.size(); ++k) {
      powers_of_samples_.col(k) = samples_.array().pow(static_cast<double>(k)).matrix();
    }
    const std::int32_t multiple = interval_multiple(radial, cutoff);
    const auto fewest = static_cast<std::int32_t>(
        std::clamp<double>(resolving_intervals(radial, cutoff), kFewestCells, kMostCells));
    n_coarse_ = (fewest + multiple - 1) / multiple * multiple;
    n_cells_ = n_coarse_;
    while (2 * n_cells_ <= kMostCells) {
      n_cells_ *= 2;
    }
  }

  std::int32_t n_species() const override { return n_species_; }

  bool is_symmetric() const override {
    return !radial_.species_terms && !std::holds_alternative<PairCutoffs>(radial_.transform);
  }

  std::int32_t n_cells() const override { return n_cells_; }

  PairTable make(std::int32_t center, std::int32_t source) const override {
    const RadialStage radial = of_pair(center, source);
    const Function<double> function(radial, cutoff_, reduced_length(center, source));
    PairTable table;
    table.interval_of_cell.assign(static_cast<std::size_t>(n_cells_), 0);
    const std::int32_t width = n_cells_ / n_coarse_;
    double largest = 0.0;
    for (std::int32_t k = 0; k < n_coarse_; ++k) {
      const double r = cutoff_ / n_coarse_ * (k + 0.5);
      const DoubleMatrix at_middle = function.output() * function(Eigen::VectorXd::Constant(1, r));
      largest = std::max(largest, at_middle.cwiseAbs().maxCoeff());
    }
    for (std::int32_t k = 0; k < n_coarse_; ++k) {
      refine(function, {k * width, width}, kUnknown, largest, table);
    }
    return table;
  }

private:
  static constexpr std::int32_t kFewestCells = 8;
  static constexpr std::int32_t kMostCells = 4096;
  static constexpr double kUnknown = std::numeric_limits<double>::infinity();
  /// Relative error that rounding may leave in double precision. Shorter intervals cannot reduce
  /// it.
  static constexpr double kRounding = 1e-13;
  /// If an error is due to the length of the interval, halving the interval reduces it by at least
  /// this factor.
  static constexpr double kHalved = 16.0;

  RadialStage of_pair(std::int32_t center, std::int32_t source) const {
    RadialStage radial = radial_;
    if (radial.species_terms) {
      MlpLayer& first = radial.layers.front();
      const auto n = static_cast<std::size_t>(first.weight.shape[0]);
      if (!first.bias) {
        first.bias = Tensor{{first.weight.shape[0]}, std::vector<double>(n, 0.0)};
      }
      for (std::size_t c = 0; c < n; ++c) {
        first.bias->values[c] +=
            radial.species_terms->center.values[static_cast<std::size_t>(center) * n + c] +
            radial.species_terms->source.values[static_cast<std::size_t>(source) * n + c];
      }
      radial.species_terms.reset();
    }
    return radial;
  }

  double reduced_length(std::int32_t center, std::int32_t source) const {
    const auto sum = [&](const Tensor& radius) {
      return radius.values[static_cast<std::size_t>(center)] +
             radius.values[static_cast<std::size_t>(source)];
    };
    if (const auto* agnesi = std::get_if<AgnesiTransform>(&radial_.transform)) {
      return sum(agnesi->radius) / 2;
    }
    if (const auto* soft = std::get_if<SoftTransform>(&radial_.transform)) {
      return sum(soft->radius);
    }
    if (const auto* pairs = std::get_if<PairCutoffs>(&radial_.transform)) {
      return pairs->cutoff.values[static_cast<std::size_t>(center * n_species_ + source)] / cutoff_;
    }
    return 1;
  }

  IntervalFit
  fit_interval(const Function<double>& function, double middle, double half_width) const {
    IntervalFit fit;
    const DoubleMatrix at_nodes =
        function((middle + half_width * nodes_.cast<double>().array()).matrix()).transpose();
    fit.powers = (transform_ * at_nodes.cast<Real>()).cast<double>();
    const DoubleMatrix at_samples =
        function((middle + half_width * samples_.array()).matrix()).transpose();
    const DoubleMatrix error =
        (powers_of_samples_ * fit.powers - at_samples) * function.output().transpose();
    for (Eigen::Index k = 0; k < error.size(); ++k) {
      const double difference = std::abs(error.data()[k]);
      fit.error = (std::isnan(difference) || difference > fit.error) ? difference : fit.error;
    }
    return fit;
  }

  struct Cells {
    std::int32_t first, n;
  };

  /// Appends the intervals that these cells need. error: of the parent interval, which is twice as
  /// long.
  void refine(const Function<double>& function,
              const Cells& cells,
              double error,
              double largest,
              PairTable& table) const {
    const double cell = cutoff_ / n_cells_;
    const double half_width = 0.5 * cell * cells.n;
    const double middle = cell * cells.first + half_width;
    const IntervalFit fit = fit_interval(function, middle, half_width);
    const bool is_rounding = fit.error <= kRounding * largest && fit.error * kHalved > error;
    if (!(fit.error <= tolerance_ * largest) && !is_rounding) {
      if (cells.n == 1) {
        fail("a radial function of a pair of species cannot be tabulated to ",
             tolerance_,
             " (",
             fit.error / largest,
             " with ",
             n_cells_,
             " intervals): it varies too fast, or is not finite. Check its basis functions.");
      }
      const std::int32_t half = cells.n / 2;
      refine(function, {cells.first, half}, fit.error, largest, table);
      refine(function, {cells.first + half, half}, fit.error, largest, table);
      return;
    }
    std::fill_n(table.interval_of_cell.begin() + cells.first,
                cells.n,
                static_cast<std::int32_t>(table.middle.size()));
    table.middle.push_back(middle);
    table.scale.push_back(1.0 / half_width);
    const DoubleMatrix fitted = fit.powers * function.output().transpose();
    table.coefficients.insert(
        table.coefficients.end(), fitted.data(), fitted.data() + fitted.size());
  }

  RadialStage radial_;
  double cutoff_;
  std::int32_t n_species_;
  double tolerance_;
  Vector nodes_;
  Matrix transform_;
  Eigen::VectorXd samples_;
  DoubleMatrix powers_of_samples_; ///< [samples, degree + 1]
  std::int32_t n_coarse_ = 0, n_cells_ = 0;
};

std::int32_t species_of(const RadialStage& radial) {
  if (radial.species_terms) {
    return static_cast<std::int32_t>(radial.species_terms->center.shape[0]);
  }
  return std::visit(
      [](const auto& transform) {
        using Transform = std::decay_t<decltype(transform)>;
        if constexpr (std::is_same_v<Transform, std::monostate>) {
          return 0;
        } else if constexpr (std::is_same_v<Transform, PairCutoffs>) {
          return static_cast<std::int32_t>(transform.cutoff.shape[0]);
        } else {
          return static_cast<std::int32_t>(transform.radius.shape[0]);
        }
      },
      radial.transform);
}

} // namespace

RadialTable tabulate(const RadialStage& radial, double cutoff, const Options& options) {
  constexpr std::int32_t kFewestIntervals = 8;
  constexpr std::int32_t kMostIntervals = 4096;
  RadialTable table;
  table.degree = options.radial_degree;
  table.channels = static_cast<std::int32_t>(radial.layers.back().weight.shape[0]);
  if (radial.depends_on_species()) {
    table.pairs = std::make_shared<AdaptiveTables>(radial, cutoff, species_of(radial), options);
    return table;
  }
  const Function<Real> function(radial, cutoff);
  const std::int32_t multiple = interval_multiple(radial, cutoff);
  const EqualIntervals intervals(function, cutoff, table.degree);
  IntervalSearch search(intervals, cutoff, options.radial_tolerance);
  table.error = std::numeric_limits<double>::infinity();
  table.n_intervals = static_cast<std::int32_t>(std::clamp<double>(
      resolving_intervals(radial, cutoff), kFewestIntervals, 2.0 * kMostIntervals));
  for (; table.n_intervals <= kMostIntervals; table.n_intervals += table.n_intervals / 2) {
    table.n_intervals = (table.n_intervals + multiple - 1) / multiple * multiple;
    search.fit(table);
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
