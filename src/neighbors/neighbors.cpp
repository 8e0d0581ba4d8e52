// SPDX-License-Identifier: BSD-3-Clause
#include "eqnn/neighbors.hpp"

#include "base/elements.hpp"
#include "base/error.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

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

/// Atoms and their periodic images near any atom, in bins at least as wide as the cutoff: an atom's
/// neighbours are in its own bin and the 26 around it.
class Images {
public:
  struct Neighbor {
    std::int32_t atom;
    std::size_t shift;
    Vector r;
  };

  Images(const std::vector<Vector>& positions, const std::vector<Vector>& shifts, double cutoff)
      : positions_(positions) {
    const double reach = cutoff + 1e-6; // coordinates and bins are rounded
    low_.fill(std::numeric_limits<double>::infinity());
    Vector high{};
    high.fill(-std::numeric_limits<double>::infinity());
    for (const Vector& x : positions) {
      for (std::size_t a = 0; a < 3; ++a) {
        low_[a] = std::min(low_[a], x[a] - reach);
        high[a] = std::max(high[a], x[a] + reach);
      }
    }
    for (std::size_t j = 0; j < positions.size(); ++j) {
      for (std::size_t s = 0; s < shifts.size(); ++s) {
        const Vector& x = positions[j];
        const Vector& shift = shifts[s];
        const Vector image{x[0] + shift[0], x[1] + shift[1], x[2] + shift[2]};
        if (image[0] >= low_[0] && image[0] <= high[0] && image[1] >= low_[1] &&
            image[1] <= high[1] && image[2] >= low_[2] && image[2] <= high[2]) {
          const bool is_atom = dot(shift, shift) == 0.0;
          images_.push_back({image, static_cast<std::int32_t>(j), s, is_atom});
        }
      }
    }
    choose_bins(high, reach);
    fill_bins();
  }

  /// The neighbours of atom i, in the order of atoms and of shifts.
  void within(double cutoff, std::size_t i, std::vector<Neighbor>& found) const {
    found.clear();
    const Vector& x = positions_[i];
    const std::array<std::int64_t, 3> at = bin_of(x);
    std::array<std::int64_t, 3> bin{};
    for (bin[0] = std::max<std::int64_t>(at[0] - 1, 0); bin[0] < end_of(at, 0); ++bin[0]) {
      for (bin[1] = std::max<std::int64_t>(at[1] - 1, 0); bin[1] < end_of(at, 1); ++bin[1]) {
        for (bin[2] = std::max<std::int64_t>(at[2] - 1, 0); bin[2] < end_of(at, 2); ++bin[2]) {
          const std::size_t b = index_of(bin);
          for (std::size_t k = begin_[b]; k < begin_[b + 1]; ++k) {
            const Image& image = images_[order_[k]];
            const Vector r{image.x[0] - x[0], image.x[1] - x[1], image.x[2] - x[2]};
            const bool self = image.is_atom && image.atom == static_cast<std::int32_t>(i);
            if (!self && dot(r, r) < cutoff * cutoff) {
              found.push_back({image.atom, image.shift, r});
            }
          }
        }
      }
    }
    std::sort(found.begin(), found.end(), [](const Neighbor& a, const Neighbor& b) {
      return std::pair(a.atom, a.shift) < std::pair(b.atom, b.shift);
    });
  }

private:
  struct Image {
    Vector x;
    std::int32_t atom;
    std::size_t shift;
    bool is_atom; ///< not an image of it
  };

  void choose_bins(const Vector& high, double reach) {
    Vector width{};
    for (std::size_t a = 0; a < 3; ++a) {
      width[a] = high[a] - low_[a];
      n_[a] = std::max<std::int64_t>(1, static_cast<std::int64_t>(std::min(width[a] / reach, 1e6)));
    }
    // Atoms far apart: not more bins than there are images to fill them.
    const auto most = static_cast<double>(images_.size()) + 64.0;
    while (static_cast<double>(n_[0]) * static_cast<double>(n_[1]) * static_cast<double>(n_[2]) >
           most) {
      std::int64_t& largest = *std::max_element(n_.begin(), n_.end());
      largest = std::max<std::int64_t>(1, largest / 2);
    }
    for (std::size_t a = 0; a < 3; ++a) {
      inverse_[a] = width[a] > 0.0 ? static_cast<double>(n_[a]) / width[a] : 0.0;
    }
  }

  void fill_bins() {
    begin_.assign(static_cast<std::size_t>(n_[0] * n_[1] * n_[2]) + 2, 0);
    for (const Image& image : images_) {
      ++begin_[index_of(bin_of(image.x)) + 2];
    }
    std::partial_sum(begin_.begin(), begin_.end(), begin_.begin());
    order_.resize(images_.size());
    for (std::size_t k = 0; k < images_.size(); ++k) {
      order_[begin_[index_of(bin_of(images_[k].x)) + 1]++] = k;
    }
  }

  std::array<std::int64_t, 3> bin_of(const Vector& x) const {
    std::array<std::int64_t, 3> bin{};
    for (std::size_t a = 0; a < 3; ++a) {
      bin[a] = std::clamp<std::int64_t>(
          static_cast<std::int64_t>((x[a] - low_[a]) * inverse_[a]), 0, n_[a] - 1);
    }
    return bin;
  }

  std::int64_t end_of(const std::array<std::int64_t, 3>& at, std::size_t a) const {
    return std::min(at[a] + 2, n_[a]);
  }

  std::size_t index_of(const std::array<std::int64_t, 3>& bin) const {
    return static_cast<std::size_t>((bin[0] * n_[1] + bin[1]) * n_[2] + bin[2]);
  }

  const std::vector<Vector>& positions_;
  std::vector<Image> images_;
  Vector low_{}, inverse_{};
  std::array<std::int64_t, 3> n_{};
  std::vector<std::size_t> begin_, order_;
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
  const Images images(positions, shifts, cutoff);
  std::vector<Images::Neighbor> found;
  edges.begin.push_back(0);
  for (std::size_t i = 0; i < positions.size(); ++i) {
    images.within(cutoff, i, found);
    for (const Images::Neighbor& neighbor : found) {
      edges.source.push_back(neighbor.atom);
      edges.vector.insert(edges.vector.end(), neighbor.r.begin(), neighbor.r.end());
    }
    edges.begin.push_back(edges.n_edges());
  }
  return edges;
}

} // namespace eqnn
