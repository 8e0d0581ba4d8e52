// SPDX-License-Identifier: BSD-3-Clause
// Radial functions as piecewise Chebyshev interpolants, stored as monomials: the kernels evaluate value and slope with one Horner pass,
// and the forces are the exact derivative of the tabulated energy. A high degree keeps the table small enough for the L2 cache.
#include "base/error.hpp"
#include "plan/compile.hpp"

#include <algorithm>
#include <cmath>

namespace eqnn::plan {
namespace {

std::vector<double> apply(const MlpLayer& layer, const std::vector<double>& x) {
  const auto n_out = static_cast<std::size_t>(layer.weight.shape[0]);
  std::vector<double> y(n_out);
  for (std::size_t o = 0; o < n_out; ++o) {
    y[o] = layer.bias ? layer.bias->values[o] : 0.0;
    for (std::size_t k = 0; k < x.size(); ++k) {
      y[o] += layer.weight.values[o * x.size() + k] * x[k];
    }
  }
  if (layer.layer_norm) {
    double mean = 0.0;
    for (const double v : y) {
      mean += v;
    }
    mean /= static_cast<double>(n_out);
    double variance = 0.0;
    for (const double v : y) {
      variance += (v - mean) * (v - mean);
    }
    const double scale = 1.0 / std::sqrt(variance / static_cast<double>(n_out) + layer.layer_norm->eps);
    for (std::size_t o = 0; o < n_out; ++o) {
      y[o] = (y[o] - mean) * scale * layer.layer_norm->scale.values[o] + layer.layer_norm->shift.values[o];
    }
  }
  if (layer.activation == Activation::Silu) {
    for (double& v : y) {
      v /= 1.0 + std::exp(-v);
    }
  }
  return y;
}

std::vector<double> evaluate(const RadialStage& radial, double cutoff, double r) {
  const auto& basis = radial.basis;
  std::vector<double> x(basis.center.values.size());
  for (std::size_t k = 0; k < x.size(); ++k) {
    const double t = (r - basis.center.values[k]) / basis.width.values[k];
    x[k] = basis.amplitude.values[k] * std::exp(-0.5 * t * t);
  }
  for (const auto& layer : radial.layers) {
    x = apply(layer, x);
  }
  if (radial.envelope.kind == EnvelopeKind::Polynomial) {
    // 1 - (p+1)(p+2)/2 s^p + p(p+2) s^(p+1) - p(p+1)/2 s^(p+2), Gasteiger et al. 2020
    const double p = radial.envelope.p;
    const double s = r / cutoff;
    const double u = 1.0 - std::pow(s, p) * (0.5 * (p + 1.0) * (p + 2.0) - s * (p * (p + 2.0) - s * 0.5 * p * (p + 1.0)));
    for (double& v : x) {
      v *= u;
    }
  }
  return x;
}

/// Monomial coefficients of the Chebyshev polynomials: T_n = 2 t T_{n-1} - T_{n-2}.
std::vector<std::vector<double>> chebyshev_monomials(std::int32_t degree) {
  std::vector<std::vector<double>> t(static_cast<std::size_t>(degree) + 1, std::vector<double>(static_cast<std::size_t>(degree) + 1, 0.0));
  t[0][0] = 1.0;
  if (degree > 0) {
    t[1][1] = 1.0;
  }
  for (std::size_t n = 2; n < t.size(); ++n) {
    for (std::size_t p = 0; p < t.size(); ++p) {
      t[n][p] = (p > 0 ? 2.0 * t[n - 1][p - 1] : 0.0) - t[n - 2][p];
    }
  }
  return t;
}

void fit_interval(const RadialStage& radial, double cutoff, std::int32_t interval, RadialTable& table) {
  const auto n_nodes = static_cast<std::size_t>(table.degree) + 1;
  const auto channels = static_cast<std::size_t>(table.channels);
  const double half = 0.5 * cutoff / table.n_intervals;
  const double middle = (2.0 * interval + 1.0) * half;
  const auto monomials = chebyshev_monomials(table.degree);
  double* out = table.coefficients.data() + static_cast<std::size_t>(interval) * n_nodes * channels;
  std::fill(out, out + n_nodes * channels, 0.0);
  const double pi = std::acos(-1.0);
  for (std::size_t node = 0; node < n_nodes; ++node) {
    const double angle = pi * (static_cast<double>(node) + 0.5) / static_cast<double>(n_nodes);
    const auto value = evaluate(radial, cutoff, middle + half * std::cos(angle));
    for (std::size_t n = 0; n < n_nodes; ++n) {
      const double factor = (n == 0 ? 1.0 : 2.0) / static_cast<double>(n_nodes) * std::cos(static_cast<double>(n) * angle);
      for (std::size_t p = 0; p <= n; ++p) {
        if (monomials[n][p] != 0.0) {
          for (std::size_t c = 0; c < channels; ++c) {
            out[p * channels + c] += factor * monomials[n][p] * value[c];
          }
        }
      }
    }
  }
}

/// Largest difference between table and function on points between the nodes, over the function's largest value.
double measure_error(const RadialStage& radial, double cutoff, const RadialTable& table) {
  constexpr int kSamples = 4;
  const auto channels = static_cast<std::size_t>(table.channels);
  const auto n_coefficients = static_cast<std::size_t>(table.degree) + 1;
  double error = 0.0;
  double largest = 0.0;
  for (std::int32_t interval = 0; interval < table.n_intervals; ++interval) {
    for (int sample = 0; sample < kSamples; ++sample) {
      const double t = -0.93 + 0.6 * sample;
      const double r = cutoff / table.n_intervals * (interval + 0.5 * (t + 1.0));
      const auto exact = evaluate(radial, cutoff, r);
      const double* const in = table.coefficients.data() + static_cast<std::size_t>(interval) * n_coefficients * channels;
      for (std::size_t c = 0; c < channels; ++c) {
        double value = 0.0;
        for (std::size_t p = n_coefficients; p-- > 0;) {
          value = value * t + in[p * channels + c];
        }
        const double difference = std::abs(value - exact[c]);
        error = (std::isnan(difference) || difference > error) ? difference : error;
        largest = std::max(largest, std::abs(exact[c]));
      }
    }
  }
  return largest > 0.0 ? error / largest : error;
}

} // namespace

RadialTable tabulate(const RadialStage& radial, double cutoff, const Options& options) {
  constexpr std::int32_t kFewestIntervals = 8;
  constexpr std::int32_t kMostIntervals = 4096;
  RadialTable table;
  table.degree = options.radial_degree;
  table.channels = static_cast<std::int32_t>(radial.layers.back().weight.shape[0]);
  double previous = INFINITY;
  for (table.n_intervals = kFewestIntervals; table.n_intervals <= kMostIntervals; table.n_intervals += table.n_intervals / 2) {
    table.coefficients.resize(static_cast<std::size_t>(table.n_intervals) * (static_cast<std::size_t>(table.degree) + 1) *
                              static_cast<std::size_t>(table.channels));
    for (std::int32_t interval = 0; interval < table.n_intervals; ++interval) {
      fit_interval(radial, cutoff, interval, table);
    }
    table.error = measure_error(radial, cutoff, table);
    // Below this, rounding errors of the function itself are fitted, and finer tables are worse.
    constexpr double kRoundingFloor = 2e-14;
    if (table.error <= options.radial_tolerance || (table.error <= kRoundingFloor && table.error > 0.25 * previous)) {
      return table;
    }
    previous = table.error;
  }
  fail("a radial function cannot be tabulated to ", options.radial_tolerance, " (", table.error, " with ", kMostIntervals,
       " intervals): it varies too fast, or is not finite. Check the widths of its Gaussians.");
}

} // namespace eqnn::plan
