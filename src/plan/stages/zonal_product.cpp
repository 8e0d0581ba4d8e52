// SPDX-License-Identifier: BSD-3-Clause
#include "plan/stages/zonal_product.hpp"

#include "so3/coupling.hpp"
#include "so3/wigner_d.hpp"

#include <algorithm>
#include <cmath>

namespace eqnn::plan {
namespace {

/// A square matrix on the components of one degree, in the frame's order.
struct Square {
  std::int32_t n;
  std::vector<double> values = std::vector<double>(static_cast<std::size_t>(n * n), 0.0);

  double& operator()(std::int32_t i, std::int32_t j) {
    return values[static_cast<std::size_t>(i * n + j)];
  }

  double operator()(std::int32_t i, std::int32_t j) const {
    return values[static_cast<std::size_t>(i * n + j)];
  }
};

/// Index of l^2 + l + m in the frame's order: cosines of m = 0 .. l, sines of m = 1 .. l.
std::int32_t in_frame(std::int32_t l, std::int32_t m) { return m >= 0 ? m : l - m; }

/// The rotation that takes the direction at polar angle beta, azimuth 0 to the pole.
Square turn(std::int32_t l, double beta) {
  const double c = std::cos(beta);
  const double s = std::sin(beta);
  const std::vector<double> d = so3::wigner_d(l, {1, 0, 0, 0, c, s, 0, -s, c});
  Square square{2 * l + 1};
  for (std::int32_t i = -l; i <= l; ++i) {
    for (std::int32_t j = -l; j <= l; ++j) {
      square(in_frame(l, i), in_frame(l, j)) =
          d[static_cast<std::size_t>((l + i) * (2 * l + 1) + l + j)];
    }
  }
  return square;
}

/// The rotations of a degree are trigonometric polynomials of beta. Returns [2 l_turned + 1]
/// matrices, the coefficients of 1, cos(k beta), sin(k beta), from the values at equidistant
/// angles.
std::vector<Square> fourier_series(std::int32_t l, std::int32_t l_turned) {
  const std::int32_t n = 2 * l_turned + 1;
  std::vector<Square> series(static_cast<std::size_t>(n), Square{2 * l + 1});
  for (std::int32_t p = 0; p < n; ++p) {
    const double beta = 2.0 * std::acos(-1.0) * p / n;
    const Square d = turn(l, beta);
    for (std::int32_t k = 0; k <= l_turned; ++k) {
      const double weight = (k == 0 ? 1.0 : 2.0) / n;
      for (std::size_t q = 0; q < d.values.size(); ++q) {
        series[static_cast<std::size_t>(k)].values[q] += weight * std::cos(k * beta) * d.values[q];
        if (k > 0) {
          series[static_cast<std::size_t>(l_turned + k)].values[q] +=
              weight * std::sin(k * beta) * d.values[q];
        }
      }
    }
  }
  return series;
}

/// Adds the upper triangle of an antisymmetric matrix of degree l.
void add_turns(std::vector<Turn>& turns, std::int32_t l, const Square& generator) {
  for (std::int32_t i = 0; i < generator.n; ++i) {
    for (std::int32_t j = i + 1; j < generator.n; ++j) {
      constexpr double kZero = 1e-12;
      if (std::abs(generator(i, j)) > kZero) {
        turns.push_back({l * l + i, l * l + j, generator(i, j)});
      }
    }
  }
}

/// Adds the generators of rotations that move the pole along beta, and along alpha (divided by sin
/// beta, up to a rotation about the pole). They are the derivative of turn() at beta = 0, and its
/// commutator with the generator of rotations about the pole.
void add_generators(ZonalProduct& product, std::int32_t l, const std::vector<Square>& series) {
  Square along_beta{2 * l + 1};
  for (std::int32_t k = 1; k <= product.l_turned; ++k) {
    for (std::size_t q = 0; q < along_beta.values.size(); ++q) {
      along_beta.values[q] += k * series[static_cast<std::size_t>(product.l_turned + k)].values[q];
    }
  }
  Square about_pole{2 * l + 1};
  for (std::int32_t m = 1; m <= l; ++m) {
    about_pole(in_frame(l, m), in_frame(l, -m)) = m;
    about_pole(in_frame(l, -m), in_frame(l, m)) = -m;
  }
  Square along_alpha{2 * l + 1};
  for (std::int32_t i = 0; i < along_alpha.n; ++i) {
    for (std::int32_t j = 0; j < along_alpha.n; ++j) {
      for (std::int32_t k = 0; k < along_alpha.n; ++k) {
        along_alpha(i, j) +=
            along_beta(i, k) * about_pole(k, j) - about_pole(i, k) * along_beta(k, j);
      }
    }
  }
  add_turns(product.turns[0], l, along_beta);
  add_turns(product.turns[1], l, along_alpha);
}

/// Adds the entries of `polar` for a degree: first of the cosines [m, m'], then of the sines.
void add_polar(std::vector<std::vector<double>>& rows,
               std::int32_t l,
               const std::vector<Square>& series) {
  for (std::size_t k = 0; k < series.size(); ++k) {
    for (const auto& [first, n] : {std::pair{0, l + 1}, std::pair{l + 1, l}}) {
      for (std::int32_t j = 0; j < n; ++j) {
        for (std::int32_t i = 0; i < n; ++i) {
          rows[k].push_back(series[k](first + i, first + j));
        }
      }
    }
  }
}

void add_pairs(ZonalProduct& product, std::int32_t m, std::int32_t l_filter) {
  for (std::int32_t l1 = m; l1 <= product.l_source; ++l1) {
    for (std::int32_t l3 = m; l3 <= product.l_out; ++l3) {
      ZonalPair pair{l1 * l1 + m, l1 * l1 + l1 + m, l3 * l3 + m, l3 * l3 + l3 + m, 0, 0};
      pair.first_term = static_cast<std::int32_t>(product.terms.size());
      for (std::int32_t l2 = std::abs(l1 - l3); l2 <= std::min(l1 + l3, l_filter); l2 += 2) {
        const std::vector<double> w3j = so3::wigner_3j(l1, l2, l3);
        const std::int32_t at = ((l1 + m) * (2 * l2 + 1) + l2) * (2 * l3 + 1) + l3 + m;
        // Y_l2 at the pole is sqrt(2 l2 + 1) for m = 0
        product.terms.push_back({l2,
                                 std::sqrt(2.0 * l2 + 1.0) * so3::gaunt_factor(l1, l2, l3) *
                                     w3j[static_cast<std::size_t>(at)]});
        ++pair.n_terms;
      }
      if (pair.n_terms > 0) {
        product.pairs.push_back(pair);
        product.n_axial += m == 0 ? 1 : 0;
      }
    }
  }
}

} // namespace

ZonalProduct zonal_product(std::int32_t l_source, std::int32_t l_filter, std::int32_t l_out) {
  ZonalProduct product;
  product.l_source = l_source;
  product.l_out = l_out;
  product.l_turned = std::max({l_source, l_out, 1});
  std::vector<std::vector<double>> rows(static_cast<std::size_t>(2 * product.l_turned + 1));
  for (std::int32_t l = 0; l <= product.l_turned; ++l) {
    const std::vector<Square> series = fourier_series(l, product.l_turned);
    add_polar(rows, l, series);
    add_generators(product, l, series);
  }
  product.entries = static_cast<std::int32_t>(rows.front().size());
  for (const auto& row : rows) {
    product.polar.insert(product.polar.end(), row.begin(), row.end());
  }
  for (std::int32_t m = 0; m <= std::min(l_source, l_out); ++m) {
    add_pairs(product, m, l_filter);
  }
  return product;
}

std::string ZonalProduct::describe(const ValueNames& names) const {
  return names.out(out) + "convolution of " + names.in(source) + ", radial " +
         std::to_string(radial) + ", aligned with the edge, " + std::to_string(terms.size()) +
         " terms";
}

ZonalCost multiply_adds(const ZonalProduct& product) {
  const auto turned = [](std::int32_t l_max) {
    double sum = 0.0;
    for (std::int32_t l = 0; l <= l_max; ++l) {
      sum += (l + 1) * (l + 1) + l * l + 4 * l;
    }
    return sum;
  };
  const double source = turned(product.l_source);
  const double out = turned(product.l_out);
  const auto terms = static_cast<double>(product.terms.size());
  const double applied = 2.0 * static_cast<double>(product.pairs.size()) - product.n_axial;
  const double torques =
      6.0 * static_cast<double>(product.turns[0].size() + product.turns[1].size());
  return {source + out + terms + applied,
          2.0 * source + out + 2.0 * terms + 3.0 * applied + torques};
}

namespace {
// Measured fraction of the machine's peak (docs/performance.md).
constexpr double kZonalRate = 0.30;
} // namespace

double cost(const ZonalProduct& product) {
  const ZonalCost flops = multiply_adds(product);
  return (flops.forward + flops.adjoint) / kZonalRate;
}

} // namespace eqnn::plan
