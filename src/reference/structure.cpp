// SPDX-License-Identifier: BSD-3-Clause
#include "reference/structure.hpp"

#include "base/elements.hpp"
#include "base/error.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace eqnn::reference {
namespace {

using Vector = std::array<double, 3>;

Vector cross(const Vector& a, const Vector& b) {
  return {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
}

double dot(const Vector& a, const Vector& b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

/// Lattice translations that can bring any atom within the cutoff of any other.
std::vector<Vector> translations(const std::array<double, 9>& cell,
                                 const std::vector<Vector>& positions,
                                 double cutoff) {
  const std::array<Vector, 3> lattice{
      {{cell[0], cell[1], cell[2]}, {cell[3], cell[4], cell[5]}, {cell[6], cell[7], cell[8]}}};
  const double volume = dot(lattice[0], cross(lattice[1], lattice[2]));
  if (!(std::abs(volume) > 1e-6)) {
    fail("cell of volume ", volume, " A^3, expected three independent lattice vectors.");
  }
  std::array<int, 3> n_images{};
  for (std::size_t a = 0; a < 3; ++a) {
    // Positions may lie outside the cell: count in fractional coordinates how far apart they are.
    const Vector area = cross(lattice[(a + 1) % 3], lattice[(a + 2) % 3]);
    double low = std::numeric_limits<double>::infinity();
    double high = -low;
    for (const Vector& x : positions) {
      const double fraction = dot(x, area) / volume;
      low = std::min(low, fraction);
      high = std::max(high, fraction);
    }
    const double height = std::abs(volume) / std::sqrt(dot(area, area));
    n_images[a] = static_cast<int>(std::ceil(cutoff / height + (high - low)));
  }
  std::vector<Vector> shifts;
  for (int i = -n_images[0]; i <= n_images[0]; ++i) {
    for (int j = -n_images[1]; j <= n_images[1]; ++j) {
      for (int k = -n_images[2]; k <= n_images[2]; ++k) {
        Vector shift{};
        for (std::size_t a = 0; a < 3; ++a) {
          shift[a] = i * lattice[0][a] + j * lattice[1][a] + k * lattice[2][a];
        }
        shifts.push_back(shift);
      }
    }
  }
  return shifts;
}

} // namespace

EdgeList edges_of(const std::vector<std::int32_t>& numbers,
                  const std::vector<Vector>& positions,
                  const std::optional<std::array<double, 9>>& cell,
                  const std::vector<std::int32_t>& species,
                  double cutoff) {
  EdgeList edges;
  edges.n_centers = edges.n_nodes = static_cast<std::int32_t>(numbers.size());
  for (const std::int32_t number : numbers) {
    const auto found = std::find(species.begin(), species.end(), number);
    if (found == species.end()) {
      fail("the structure holds ", element_symbol(number), ", which the model does not know.");
    }
    edges.species.push_back(static_cast<std::int32_t>(found - species.begin()));
  }
  std::vector<Vector> shifts{{0.0, 0.0, 0.0}};
  if (cell && !positions.empty()) {
    shifts = translations(*cell, positions, cutoff);
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
        // Negated, so that a NaN becomes an edge, which every evaluator refuses, and not a lonely
        // atom.
        if (!self && !(dot(r, r) >= cutoff * cutoff)) {
          edges.source.push_back(static_cast<std::int32_t>(j));
          edges.vector.insert(edges.vector.end(), r.begin(), r.end());
        }
      }
    }
    edges.begin.push_back(edges.n_edges());
  }
  return edges;
}

} // namespace eqnn::reference
