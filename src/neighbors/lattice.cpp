// SPDX-License-Identifier: BSD-3-Clause
#include "neighbors/lattice.hpp"

#include "base/error.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace eqnn {
namespace {

Vector3 cross(const Vector3& a, const Vector3& b) {
  return {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
}

double dot(const Vector3& a, const Vector3& b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

/// Farther from the origin, doubles are more than 1.5e-8 Angstrom apart, which changes forces.
constexpr double kFarthest = 1e8;
/// A^3. An atom takes up about 1 A^3 or more, so a much smaller volume means lattice vectors in one
/// plane.
constexpr double kSmallestVolume = 1e-6;
/// Number of images of the cell within the cutoff. Their translations take 24 MB.
constexpr double kMostImages = 1e6;

} // namespace

void require_near(const std::vector<Vector3>& positions) {
  for (std::size_t i = 0; i < positions.size(); ++i) {
    const Vector3& x = positions[i];
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
               " Angstrom of the origin: farther away, double precision is too coarse.\nMove the "
               "structure to the origin, or wrap it into its cell.");
      }
    }
  }
}

Lattice::Lattice(const std::array<double, 9>& cell)
    : rows_{{{cell[0], cell[1], cell[2]}, {cell[3], cell[4], cell[5]}, {cell[6], cell[7], cell[8]}}}
    , volume_(dot(rows_[0], cross(rows_[1], rows_[2]))) {
  for (const double component : cell) {
    // Negated, so that NaN is rejected too.
    if (!(std::abs(component) <= kFarthest)) {
      fail("a lattice vector has a component of ",
           component,
           ", expected at most ",
           kFarthest,
           " Angstrom.\nCorrect the cell.");
    }
  }
  if (!(std::abs(volume_) > kSmallestVolume)) {
    fail("the cell's volume is ",
         std::abs(volume_),
         " A^3, expected above ",
         kSmallestVolume,
         ".\nGive three lattice vectors that are not in one plane, or no cell if nothing is "
         "periodic.");
  }
}

Vector3 Lattice::wrapped(const Vector3& x) const {
  Vector3 out = x;
  for (std::size_t a = 0; a < 3; ++a) {
    const double n_cells = std::floor(fraction(x, a));
    for (std::size_t d = 0; d < 3; ++d) {
      out[d] = std::fma(-n_cells, rows_[a][d], out[d]);
    }
  }
  return out;
}

std::vector<Vector3> Lattice::wrapped(std::vector<Vector3> positions) const {
  for (Vector3& x : positions) {
    x = wrapped(x);
  }
  return positions;
}

std::array<int, 3> Lattice::reach(const std::vector<Vector3>& positions, double cutoff) const {
  std::array<double, 3> counts{};
  for (std::size_t a = 0; a < 3 && !positions.empty(); ++a) {
    double low = std::numeric_limits<double>::infinity();
    double high = -low;
    for (const Vector3& x : positions) {
      low = std::min(low, fraction(x, a));
      high = std::max(high, fraction(x, a));
    }
    const Vector3 area = opposite(a);
    const double height = std::abs(volume_) / std::sqrt(dot(area, area));
    // The last term allows for rounding of the fractions.
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
  return {static_cast<int>(counts[0]), static_cast<int>(counts[1]), static_cast<int>(counts[2])};
}

std::vector<Vector3> Lattice::translations(const std::array<int, 3>& most) const {
  std::vector<Vector3> shifts;
  for (int i = -most[0]; i <= most[0]; ++i) {
    for (int j = -most[1]; j <= most[1]; ++j) {
      for (int k = -most[2]; k <= most[2]; ++k) {
        Vector3 shift{};
        for (std::size_t d = 0; d < 3; ++d) {
          shift[d] = i * rows_[0][d] + j * rows_[1][d] + k * rows_[2][d];
        }
        shifts.push_back(shift);
      }
    }
  }
  return shifts;
}

Vector3 Lattice::opposite(std::size_t a) const {
  return cross(rows_[(a + 1) % 3], rows_[(a + 2) % 3]);
}

double Lattice::fraction(const Vector3& x, std::size_t a) const {
  return dot(x, opposite(a)) / volume_;
}

void require_usable(const std::vector<Vector3>& positions,
                    const std::optional<std::array<double, 9>>& cell,
                    double cutoff) {
  require_near(positions);
  if (cell) {
    const Lattice lattice(*cell);
    (void)lattice.reach(lattice.wrapped(positions), cutoff);
  }
}

} // namespace eqnn
