// SPDX-License-Identifier: BSD-3-Clause
#include "eqnn/neighbors.hpp"

#include "base/elements.hpp"
#include "base/error.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace eqnn {
namespace {

using Vector = std::array<double, 3>;

Vector cross(const Vector& a, const Vector& b) {
  return {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
}

double dot(const Vector& a, const Vector& b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

/// Farther from the origin, the last digit of a double is above 1.5e-8 Angstrom, and forces feel it.
constexpr double kFarthest = 1e8;
/// Images of the cell within the cutoff: 24 MB of translations.
constexpr double kMostImages = 1e6;

void require_near(const std::vector<Vector>& positions) {
  for (std::size_t i = 0; i < positions.size(); ++i) {
    const Vector& x = positions[i];
    const auto refuse = [&](const auto&... expected) {
      fail("atom ", i, " is at (", x[0], ", ", x[1], ", ", x[2], "), expected ", expected...);
    };
    for (const double coordinate : x) {
      if (!std::isfinite(coordinate)) {
        refuse("finite coordinates.\nCorrect the structure.");
      }
      if (std::abs(coordinate) > kFarthest) {
        refuse("within ",
               kFarthest,
               " Angstrom of the origin: farther away doubles are too coarse.\nMove the structure "
               "to the origin, or wrap it into its cell.");
      }
    }
  }
}

/// A cell that is periodic in all three directions; rows are lattice vectors.
class Lattice {
public:
  explicit Lattice(const std::array<double, 9>& cell)
      : rows_{{{cell[0], cell[1], cell[2]},
               {cell[3], cell[4], cell[5]},
               {cell[6], cell[7], cell[8]}}}
      , volume_(dot(rows_[0], cross(rows_[1], rows_[2]))) {
    for (const double component : cell) {
      // Negated, so that NaN is refused too.
      if (!(std::abs(component) <= kFarthest)) {
        fail("a lattice vector has the component ",
             component,
             ", expected at most ",
             kFarthest,
             " Angstrom.\nCorrect the cell.");
      }
    }
    if (!(std::abs(volume_) > 1e-6)) {
      fail("cell of volume ", volume_, " A^3, expected three independent lattice vectors.");
    }
  }

  /// The image of x in the cell: x itself where it is there already. Each product and difference is
  /// rounded once, so that nothing is lost beyond what x itself lacks.
  Vector wrapped(const Vector& x) const {
    Vector out = x;
    for (std::size_t a = 0; a < 3; ++a) {
      const double n_cells = std::floor(fraction(x, a));
      for (std::size_t d = 0; d < 3; ++d) {
        out[d] = std::fma(-n_cells, rows_[a][d], out[d]);
      }
    }
    return out;
  }

  /// Translations that can bring any of these atoms within the cutoff of any other.
  std::vector<Vector> translations(const std::vector<Vector>& positions, double cutoff) const {
    std::array<double, 3> counts{};
    for (std::size_t a = 0; a < 3; ++a) {
      double low = std::numeric_limits<double>::infinity();
      double high = -low;
      for (const Vector& x : positions) {
        low = std::min(low, fraction(x, a));
        high = std::max(high, fraction(x, a));
      }
      const Vector area = opposite(a);
      const double height = std::abs(volume_) / std::sqrt(dot(area, area));
      // The last term: fractions are rounded.
      counts[a] = std::ceil(cutoff / height + (high - low) + 1e-9);
    }
    const double n_images = (2 * counts[0] + 1) * (2 * counts[1] + 1) * (2 * counts[2] + 1);
    if (!(n_images <= kMostImages)) {
      fail("a cell of volume ",
           std::abs(volume_),
           " A^3 has ",
           n_images,
           " images within the cutoff of ",
           cutoff,
           " Angstrom, expected at most ",
           kMostImages,
           ".\nGive a less flat or less skewed cell of the same lattice.");
    }
    std::array<int, 3> most{};
    for (std::size_t a = 0; a < 3; ++a) {
      most[a] = static_cast<int>(counts[a]);
    }
    std::vector<Vector> shifts;
    for (int i = -most[0]; i <= most[0]; ++i) {
      for (int j = -most[1]; j <= most[1]; ++j) {
        for (int k = -most[2]; k <= most[2]; ++k) {
          Vector shift{};
          for (std::size_t d = 0; d < 3; ++d) {
            shift[d] = i * rows_[0][d] + j * rows_[1][d] + k * rows_[2][d];
          }
          shifts.push_back(shift);
        }
      }
    }
    return shifts;
  }

private:
  std::array<Vector, 3> rows_;
  double volume_;

  Vector opposite(std::size_t a) const { return cross(rows_[(a + 1) % 3], rows_[(a + 2) % 3]); }

  double fraction(const Vector& x, std::size_t a) const { return dot(x, opposite(a)) / volume_; }
};

} // namespace

EdgeList edges_of(const std::vector<std::int32_t>& numbers,
                  const std::vector<Vector>& unwrapped,
                  const std::optional<std::array<double, 9>>& cell,
                  const std::vector<std::int32_t>& species,
                  double cutoff) {
  if (numbers.size() != unwrapped.size()) {
    fail(numbers.size(),
         " atomic numbers for ",
         unwrapped.size(),
         " positions, expected as many. Correct the structure.");
  }
  require_near(unwrapped);
  EdgeList edges;
  edges.n_centers = edges.n_nodes = static_cast<std::int32_t>(numbers.size());
  for (const std::int32_t number : numbers) {
    const auto found = std::find(species.begin(), species.end(), number);
    if (found == species.end()) {
      fail("the structure holds ", element_symbol(number), ", which the model does not know.");
    }
    edges.species.push_back(static_cast<std::int32_t>(found - species.begin()));
  }
  std::vector<Vector> positions = unwrapped;
  std::vector<Vector> shifts{{0.0, 0.0, 0.0}};
  if (cell) {
    // Into one cell first: how far atoms have travelled must not cost anything.
    const Lattice lattice(*cell);
    for (Vector& x : positions) {
      x = lattice.wrapped(x);
    }
    if (!positions.empty()) {
      shifts = lattice.translations(positions, cutoff);
    }
  }
  edges.begin.push_back(0);
  for (std::size_t i = 0; i < positions.size(); ++i) {
    for (std::size_t j = 0; j < positions.size(); ++j) {
      for (const Vector& shift : shifts) {
        Vector r{};
        for (std::size_t a = 0; a < 3; ++a) {
          r[a] = positions[j][a] + shift[a] - positions[i][a];
        }
        const bool self = i == j && dot(shift, shift) == 0.0;
        if (!self && dot(r, r) < cutoff * cutoff) {
          edges.source.push_back(static_cast<std::int32_t>(j));
          edges.vector.insert(edges.vector.end(), r.begin(), r.end());
        }
      }
    }
    edges.begin.push_back(edges.n_edges());
  }
  return edges;
}

} // namespace eqnn
