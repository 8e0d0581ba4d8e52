// SPDX-License-Identifier: BSD-3-Clause
#include "plan/sphere.hpp"

#include "so3/coupling.hpp"
#include "so3/quadrature.hpp"
#include "so3/spherical_harmonics.hpp"

#include <algorithm>
#include <cmath>
#include <map>

namespace eqnn::plan {
namespace {

std::int32_t degree_of(std::int32_t component) {
  return static_cast<std::int32_t>(std::sqrt(static_cast<double>(component) + 0.5));
}

/// Collects monomials, whatever their factors' order, and makes the tree.
class PolynomialBuilder {
public:
  PolynomialBuilder(std::size_t n_species, std::size_t n_channels)
      : n_species_(n_species)
      , n_channels_(n_channels) {}

  /// Coefficients [n_species, channels] of the monomial for a component of the output, to add to.
  std::vector<double>& at(std::vector<std::int32_t> factors, std::int32_t target) {
    std::sort(factors.begin(), factors.end());
    auto& coefficients = terms_[factors][target];
    coefficients.resize(n_species_ * n_channels_, 0.0);
    return coefficients;
  }

  Polynomial build() {
    std::vector<std::vector<std::int32_t>> prefixes;
    for (const auto& [factors, unused] : terms_) {
      for (std::size_t n = 1; n < factors.size(); ++n) {
        prefixes.emplace_back(factors.begin(), factors.begin() + static_cast<std::ptrdiff_t>(n));
      }
    }
    for (const auto& prefix : prefixes) {
      terms_[prefix]; // perhaps without terms of its own
    }
    Polynomial polynomial;
    std::map<std::vector<std::int32_t>, std::int32_t> index_of;
    std::vector<const std::vector<double>*> columns;
    for (const auto& [factors, targets] : terms_) { // in lexical order: parents before children
      Monomial monomial;
      monomial.component = factors.back();
      if (factors.size() > 1) {
        monomial.parent = index_of.at({factors.begin(), factors.end() - 1});
        polynomial.monomials[static_cast<std::size_t>(monomial.parent)].has_children = true;
      }
      monomial.first_term = static_cast<std::int32_t>(columns.size());
      for (const auto& [target, coefficients] : targets) {
        polynomial.target.push_back(target);
        columns.push_back(&coefficients);
        ++monomial.n_terms;
      }
      index_of[factors] = static_cast<std::int32_t>(polynomial.monomials.size());
      polynomial.monomials.push_back(monomial);
    }
    polynomial.coefficients.reserve(n_species_ * columns.size() * n_channels_);
    for (std::size_t z = 0; z < n_species_; ++z) {
      for (const auto* column : columns) {
        const auto begin = column->begin() + static_cast<std::ptrdiff_t>(z * n_channels_);
        polynomial.coefficients.insert(
            polynomial.coefficients.end(), begin, begin + static_cast<std::ptrdiff_t>(n_channels_));
      }
    }
    return polynomial;
  }

private:
  std::size_t n_species_, n_channels_;
  std::map<std::vector<std::int32_t>, std::map<std::int32_t, std::vector<double>>> terms_;
};

/// Orthonormal harmonics at the points of a rule.
std::vector<std::vector<double>> harmonics_at(const so3::SphereRule& rule, std::int32_t l_max) {
  const double scale = 1.0 / std::sqrt(4.0 * std::acos(-1.0));
  std::vector<std::vector<double>> s;
  for (const auto& point : rule.point) {
    s.push_back(so3::spherical_harmonics(l_max, point).value);
    for (double& value : s.back()) {
      value *= scale;
    }
  }
  return s;
}

/// Calls use(factors) for all sorted lists of `order` components below d.
template <class Use> void for_multisets(std::int32_t order,
                                        std::int32_t d,
                                        std::vector<std::int32_t>& factors,
                                        const Use& use) {
  if (static_cast<std::int32_t>(factors.size()) == order) {
    use(factors);
    return;
  }
  for (std::int32_t k = factors.empty() ? 0 : factors.back(); k < d; ++k) {
    factors.push_back(k);
    for_multisets(order, d, factors, use);
    factors.pop_back();
  }
}

/// In how many orders the factors can be written.
double multiplicity(const std::vector<std::int32_t>& factors) {
  double count = 1.0;
  double run = 0.0;
  for (std::size_t k = 0; k < factors.size(); ++k) {
    run = k > 0 && factors[k] == factors[k - 1] ? run + 1.0 : 1.0;
    count *= static_cast<double>(k + 1) / run;
  }
  return count;
}

} // namespace

Polynomial
contraction(const SymmetricContractionStage& stage, const Irreps& out, std::size_t n_species) {
  const auto n_channels = static_cast<std::size_t>(stage.terms.front().weights.shape[2]);
  PolynomialBuilder builder(n_species, n_channels);
  for (const ContractionTerm& term : stage.terms) {
    const auto n_weights = static_cast<std::size_t>(term.weights.shape[1]);
    for (std::size_t row = 0; row < term.indices.size(); ++row) {
      const auto& index = term.indices[row];
      auto& coefficients = builder.at({index.begin() + 2, index.begin() + 2 + term.nu},
                                      first_component(out, term.block) + index[0]);
      for (std::size_t z = 0; z < n_species; ++z) {
        for (std::size_t c = 0; c < n_channels; ++c) {
          const std::size_t weight =
              (z * n_weights + static_cast<std::size_t>(index[1])) * n_channels + c;
          coefficients[z * n_channels + c] += term.values.values[row] * term.weights.values[weight];
        }
      }
    }
  }
  return builder.build();
}

namespace {

/// The projections of f, f^2, ... on the harmonics as a polynomial.
Polynomial monomials_of(const SpherePolynomialStage& stage,
                        std::int32_t l_in,
                        std::int32_t l_out,
                        std::size_t n_species) {
  const auto n_channels = static_cast<std::size_t>(stage.orders.front().shape[1]);
  const std::int32_t d_in = so3::n_components(l_in);
  const std::int32_t d_out = so3::n_components(l_out);
  PolynomialBuilder builder(n_species, n_channels);
  for (std::size_t nu = 1; nu <= stage.orders.size(); ++nu) {
    const Tensor& order = stage.orders[nu - 1];
    const so3::SphereRule rule = so3::product_rule(static_cast<std::int32_t>(nu) * l_in + l_out);
    const auto s = harmonics_at(rule, std::max(l_in, l_out));
    std::vector<std::int32_t> factors;
    for_multisets(static_cast<std::int32_t>(nu), d_in, factors, [&](const auto& list) {
      std::vector<double> integral(static_cast<std::size_t>(d_out), 0.0);
      for (std::size_t p = 0; p < rule.point.size(); ++p) {
        double product = rule.weight[p] * multiplicity(list);
        for (const std::int32_t k : list) {
          product *= s[p][static_cast<std::size_t>(k)];
        }
        for (std::size_t k = 0; k < integral.size(); ++k) {
          integral[k] += product * s[p][k];
        }
      }
      for (std::int32_t k = 0; k < d_out; ++k) {
        const double value = integral[static_cast<std::size_t>(k)];
        if (std::abs(value) < 1e-13) { // a selection rule, up to rounding
          continue;
        }
        auto& coefficients = builder.at(list, k);
        const auto l = static_cast<std::size_t>(degree_of(k));
        for (std::size_t zc = 0; zc < coefficients.size(); ++zc) {
          coefficients[zc] += value * order.values[zc * static_cast<std::size_t>(l_out + 1) + l];
        }
      }
    });
  }
  return builder.build();
}

/// Non-zeros of the tables, ordered by (i, j): scale(l1, l2, l3) w3j.
template <class Scale> std::vector<Triple>
triples(std::int32_t l_a, std::int32_t l_b, std::int32_t l_out, const Scale& scale) {
  std::vector<Triple> list;
  for (std::int32_t l1 = 0; l1 <= l_a; ++l1) {
    for (std::int32_t l2 = 0; l2 <= l_b; ++l2) {
      for (std::int32_t l3 = std::abs(l1 - l2); l3 <= std::min(l1 + l2, l_out); ++l3) {
        const double factor = scale(l1, l2, l3);
        if (factor == 0.0) {
          continue;
        }
        const std::vector<double> w3j = so3::wigner_3j(l1, l2, l3);
        std::size_t at = 0;
        for (std::int32_t i = l1 * l1; i < (l1 + 1) * (l1 + 1); ++i) {
          for (std::int32_t j = l2 * l2; j < (l2 + 1) * (l2 + 1); ++j) {
            for (std::int32_t k = l3 * l3; k < (l3 + 1) * (l3 + 1); ++k, ++at) {
              if (std::abs(w3j[at]) > 1e-14) {
                list.push_back({i, j, k, factor * w3j[at]});
              }
            }
          }
        }
      }
    }
  }
  std::stable_sort(list.begin(), list.end(), [](const Triple& x, const Triple& y) {
    return x.i != y.i ? x.i < y.i : x.j < y.j;
  });
  return list;
}

/// What a transform gives at a point: the function, or its slope along one of two orthogonal
/// tangents t1, t2 with t1 x t2 = u: along the ring, and towards lower polar angles.
enum class Quantity { Value, AlongRing, AcrossRings };

SphereTransform
dense_transform(std::int32_t l_max, std::int32_t degree, bool weighted, Quantity quantity) {
  const so3::SphereRule rule = so3::product_rule(degree);
  const double scale = 1.0 / std::sqrt(4.0 * std::acos(-1.0));
  SphereTransform transform;
  transform.n_components = so3::n_components(l_max);
  transform.n_points = static_cast<std::int32_t>(rule.point.size());
  for (std::int32_t k = 0; k < transform.n_components; ++k) {
    transform.order.push_back(k);
  }
  for (std::size_t p = 0; p < rule.point.size(); ++p) {
    const auto& u = rule.point[p];
    // No point lies on the polar axis, y.
    const double s = std::sqrt(u[0] * u[0] + u[2] * u[2]);
    const std::array<double, 3> t1{u[2] / s, 0.0, -u[0] / s};
    const std::array<double, 3> t2{
        u[1] * t1[2] - u[2] * t1[1], u[2] * t1[0] - u[0] * t1[2], u[0] * t1[1] - u[1] * t1[0]};
    const auto& t = quantity == Quantity::AlongRing ? t1 : t2;
    const auto y = so3::spherical_harmonics(l_max, u);
    for (std::size_t k = 0; k < y.value.size(); ++k) {
      const auto& g = y.gradient[k];
      const double value =
          quantity == Quantity::Value ? y.value[k] : g[0] * t[0] + g[1] * t[1] + g[2] * t[2];
      transform.matrix.push_back(scale * value * (weighted ? rule.weight[p] : 1.0));
    }
  }
  return transform;
}

/// S_lm(theta, phi) = polar(theta) {cos m phi, sin |m| phi}: the polar part and its slope. Periodic in
/// theta, with the sign (-1)^m under theta -> 2 pi - theta.
struct PolarPart {
  double value = 0.0, slope = 0.0;
};

PolarPart polar_part(std::int32_t l, std::int32_t m, double theta) {
  const double scale = 1.0 / std::sqrt(4.0 * std::acos(-1.0));
  const std::array<double, 3> point{0.0, std::cos(theta), std::sin(theta)}; // phi = 0
  const auto y = so3::spherical_harmonics(l, point);
  const auto k = static_cast<std::size_t>(l * l + l + std::abs(m));
  return {scale * y.value[k],
          scale * (-std::sin(theta) * y.gradient[k][1] + std::cos(theta) * y.gradient[k][2])};
}

/// Integral of cos(n theta) sin(theta) from 0 to pi.
double cosine_moment(std::int32_t n) { return n % 2 == 0 ? 2.0 / (1.0 - 1.0 * n * n) : 0.0; }

/// Functions of degree up to `band` in both angles on a grid of the torus, of which half the rings are
/// needed: theta_j = pi (j + 1/2) / (band + 1). Projections are exact: the polar integral of each
/// harmonic of theta is known in closed form.
SphereTransform torus_transform(
    std::int32_t l_max, std::int32_t band, std::int32_t l_out, bool weighted, Quantity quantity) {
  const double pi = std::acos(-1.0);
  const std::int32_t n_azimuth = band + l_out + 1;
  SphereTransform transform;
  transform.n_components = so3::n_components(l_max);
  transform.n_rings = band + 1;
  transform.n_points = transform.n_rings * n_azimuth;
  const auto theta = [&](std::int32_t j) { return pi * (j + 0.5) / (band + 1); };
  for (std::int32_t m = -l_max; m <= l_max; ++m) {
    const bool is_even = m % 2 == 0;
    for (std::int32_t l = std::abs(m); l <= l_max; ++l) {
      transform.order.push_back(l * l + l + m);
    }
    // Projection: weight[l][j] = sum over u of (Fourier coefficient u of a function by its values)
    // times (integral of harmonic u with the polar part).
    std::vector<std::vector<double>> moments; // [l][u]
    for (std::int32_t l = std::abs(m); weighted && l <= l_max; ++l) {
      std::vector<double> series(static_cast<std::size_t>(l) + 1, 0.0); // of the polar part
      for (std::int32_t k = 0; k <= l; ++k) {
        for (std::int32_t j = 0; j <= l; ++j) { // l + 1 rings hold degree l
          const double angle = pi * (j + 0.5) / (l + 1);
          series[static_cast<std::size_t>(k)] +=
              (k == 0 ? 1.0 : 2.0) / (l + 1) * polar_part(l, m, angle).value *
              (is_even ? std::cos(k * angle) : std::sin(k * angle));
        }
      }
      std::vector<double> moment;
      for (std::int32_t u = 0; u <= band; ++u) {
        double sum = 0.0;
        for (std::int32_t k = 0; k <= l; ++k) {
          sum += 0.5 * series[static_cast<std::size_t>(k)] *
                 (is_even ? cosine_moment(u - k) + cosine_moment(u + k)
                          : cosine_moment(u - k) - cosine_moment(u + k));
        }
        moment.push_back(sum);
      }
      moments.push_back(std::move(moment));
    }
    for (std::int32_t j = 0; j < transform.n_rings; ++j) {
      for (std::int32_t l = std::abs(m); l <= l_max; ++l) {
        if (weighted) {
          double weight = 0.0;
          const auto& moment = moments[static_cast<std::size_t>(l - std::abs(m))];
          for (std::int32_t u = 0; u <= band; ++u) {
            weight += (u == 0 ? 1.0 : 2.0) / (band + 1) * moment[static_cast<std::size_t>(u)] *
                      (is_even ? std::cos(u * theta(j)) : std::sin(u * theta(j)));
          }
          transform.polar.push_back(weight * 2.0 * pi / n_azimuth);
        } else {
          const PolarPart part = polar_part(l, m, theta(j));
          transform.polar.push_back(quantity == Quantity::Value ? part.value
                                    : quantity == Quantity::AlongRing
                                        ? part.value / std::sin(theta(j))
                                        : -part.slope);
        }
      }
    }
  }
  for (std::int32_t a = 0; a < n_azimuth; ++a) {
    const double phi = 2.0 * pi * a / n_azimuth;
    for (std::int32_t m = -l_max; m <= l_max; ++m) {
      const double cosine = std::cos(m * phi);
      const double sine = std::sin(-m * phi); // sin(|m| phi) for m < 0
      if (quantity == Quantity::AlongRing) {
        transform.azimuthal.push_back(m < 0 ? -m * cosine : -m * std::sin(m * phi));
      } else {
        transform.azimuthal.push_back(m < 0 ? sine : cosine);
      }
    }
  }
  return transform;
}

/// A transform for products of functions whose degrees add up to `band`, projected up to l_out.
SphereTransform transform_of(Lowering lowering,
                             std::int32_t l_max,
                             std::int32_t band,
                             std::int32_t l_out,
                             bool weighted,
                             Quantity quantity = Quantity::Value) {
  return lowering == Lowering::Fourier ? torus_transform(l_max, band, l_out, weighted, quantity)
                                       : dense_transform(l_max, band + l_out, weighted, quantity);
}

std::vector<double> values_of(const std::optional<Tensor>& tensor) {
  return tensor ? tensor->values : std::vector<double>{};
}

/// FLOPs per channel, forward and adjoint, over the fraction of the machine's peak that this lowering
/// was measured to reach (docs/performance.md).
constexpr double kMonomialRate = 0.17;
constexpr double kGridRate = 0.80;
constexpr double kFourierRate = 0.52;

double flops(const SphereTransform& t) {
  return 2.0 * (t.n_rings == 0 ? static_cast<double>(t.matrix.size())
                               : static_cast<double>(t.polar.size()) +
                                     t.n_rings * static_cast<double>(t.azimuthal.size()));
}

double rate_of(Lowering lowering) { return lowering == Lowering::Grid ? kGridRate : kFourierRate; }

double cost(const SphereProduct& p, double table_rate) {
  if (p.lowering == Lowering::Sparse) {
    return 4.0 * static_cast<double>(p.gaunt.size() + p.curl.size()) / table_rate;
  }
  double factors = flops(p.of_a) + flops(p.of_b);
  for (const int tangent : {0, 1}) {
    factors += flops(p.gradient_a[tangent]) + flops(p.gradient_b[tangent]);
  }
  const double projections = p.scale_curl.empty() ? 1.0 : 2.0;
  return (3.0 * factors + 2.0 * projections * flops(p.of_out)) / rate_of(p.lowering);
}

double cost(const SpherePower& p) {
  return (3.0 * flops(p.of_in) + 2.0 * p.n_orders * flops(p.of_out)) / rate_of(p.lowering);
}

double cost(const Polynomial& p) {
  return (4.0 * static_cast<double>(p.target.size()) +
          6.0 * static_cast<double>(p.monomials.size())) /
         kMonomialRate;
}

SphereProduct product_by(Lowering lowering,
                         const GauntProductStage& stage,
                         std::int32_t l_a,
                         std::int32_t l_b,
                         std::int32_t l_out) {
  SphereProduct product;
  product.lowering = lowering;
  product.scale_a = values_of(stage.scale_a);
  product.scale_b = values_of(stage.scale_b);
  product.scale_out = values_of(stage.scale_out);
  product.scale_curl = values_of(stage.curl);
  const bool has_curl = stage.curl.has_value();
  if (lowering == Lowering::Sparse) {
    product.gaunt = triples(l_a, l_b, l_out, so3::gaunt_factor);
    if (has_curl) {
      product.curl = triples(l_a, l_b, l_out, so3::curl_factor);
    }
    return product;
  }
  const std::int32_t band = l_a + l_b;
  product.of_a = transform_of(lowering, l_a, band, l_out, false);
  product.of_b = transform_of(lowering, l_b, band, l_out, false);
  product.of_out = transform_of(lowering, l_out, band, l_out, true);
  if (has_curl) {
    for (const int tangent : {0, 1}) {
      const auto quantity = tangent == 0 ? Quantity::AlongRing : Quantity::AcrossRings;
      product.gradient_a[tangent] = transform_of(lowering, l_a, band, l_out, false, quantity);
      product.gradient_b[tangent] = transform_of(lowering, l_b, band, l_out, false, quantity);
    }
  }
  return product;
}

SpherePower power_by(Lowering lowering,
                     const SpherePolynomialStage& stage,
                     std::int32_t l_in,
                     std::int32_t l_out,
                     std::size_t n_species) {
  SpherePower power;
  power.lowering = lowering;
  power.n_orders = static_cast<std::int32_t>(stage.orders.size());
  const std::int32_t band = power.n_orders * l_in;
  power.of_in = transform_of(lowering, l_in, band, l_out, false);
  power.of_out = transform_of(lowering, l_out, band, l_out, true);
  const auto n_channels = static_cast<std::size_t>(stage.orders.front().shape[1]);
  const auto n_degrees = static_cast<std::size_t>(l_out) + 1;
  for (std::size_t z = 0; z < n_species; ++z) {
    for (const Tensor& order : stage.orders) {
      for (std::size_t l = 0; l < n_degrees; ++l) {
        for (std::size_t c = 0; c < n_channels; ++c) {
          power.weights.push_back(order.values[(z * n_channels + c) * n_degrees + l]);
        }
      }
    }
  }
  return power;
}

} // namespace

SphereProduct sphere_product(const GauntProductStage& stage,
                             std::int32_t l_a,
                             std::int32_t l_b,
                             std::int32_t l_out,
                             std::optional<Lowering> lowering,
                             double table_rate) {
  if (lowering) {
    return product_by(*lowering, stage, l_a, l_b, l_out);
  }
  SphereProduct best = product_by(Lowering::Sparse, stage, l_a, l_b, l_out);
  for (const auto other : {Lowering::Grid, Lowering::Fourier}) {
    SphereProduct candidate = product_by(other, stage, l_a, l_b, l_out);
    if (cost(candidate, table_rate) < cost(best, table_rate)) {
      best = std::move(candidate);
    }
  }
  return best;
}

std::variant<Polynomial, SpherePower> sphere_polynomial(const SpherePolynomialStage& stage,
                                                        std::int32_t l_in,
                                                        std::int32_t l_out,
                                                        std::size_t n_species,
                                                        std::optional<Lowering> lowering) {
  if (lowering == Lowering::Sparse) {
    return monomials_of(stage, l_in, l_out, n_species);
  }
  if (lowering) {
    return power_by(*lowering, stage, l_in, l_out, n_species);
  }
  SpherePower grid = power_by(Lowering::Grid, stage, l_in, l_out, n_species);
  SpherePower fourier = power_by(Lowering::Fourier, stage, l_in, l_out, n_species);
  SpherePower best = cost(fourier) < cost(grid) ? std::move(fourier) : std::move(grid);
  // Beyond, monomials are too many to be listed for nothing: they lost long before.
  constexpr std::int32_t kMostDegree = 4;
  constexpr std::size_t kMostOrders = 3;
  if (l_in <= kMostDegree && stage.orders.size() <= kMostOrders) {
    Polynomial sparse = monomials_of(stage, l_in, l_out, n_species);
    if (cost(sparse) < cost(best)) {
      return sparse;
    }
  }
  return best;
}

} // namespace eqnn::plan
