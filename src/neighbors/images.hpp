// SPDX-License-Identifier: BSD-3-Clause
// Finds the atoms and periodic images near an atom. Finding all neighbors takes O(n log n) time in
// the number of atoms and images.
#pragma once

#include "neighbors/lattice.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <tuple>
#include <utility>
#include <vector>

namespace eqnn {

/// The atoms, and their periodic images near any atom, sorted by bins. Bins are at least as wide as
/// the cutoff, so the neighbors of an atom are in its own bin and the 26 around it. Empty bins take
/// no memory and no time.
class Images {
public:
  struct Neighbor {
    std::int32_t atom;
    std::size_t shift;
    Vector3 r;
  };

  Images(const std::vector<Vector3>& positions, const std::vector<Vector3>& shifts, double cutoff)
      : positions_(positions)
      , width_(cutoff + 1e-6) { // margin for rounding of coordinates and bins
    low_.fill(std::numeric_limits<double>::infinity());
    Vector3 high{};
    high.fill(-std::numeric_limits<double>::infinity());
    for (const Vector3& x : positions) {
      for (std::size_t a = 0; a < 3; ++a) {
        low_[a] = std::min(low_[a], x[a] - width_);
        high[a] = std::max(high[a], x[a] + width_);
      }
    }
    for (std::size_t j = 0; j < positions.size(); ++j) {
      for (std::size_t s = 0; s < shifts.size(); ++s) {
        const Vector3& x = positions[j];
        const Vector3& shift = shifts[s];
        const Vector3 image{x[0] + shift[0], x[1] + shift[1], x[2] + shift[2]};
        if (image[0] >= low_[0] && image[0] <= high[0] && image[1] >= low_[1] &&
            image[1] <= high[1] && image[2] >= low_[2] && image[2] <= high[2]) {
          const bool is_atom = shift == Vector3{};
          images_.push_back({bin_of(image), image, static_cast<std::int32_t>(j), s, is_atom});
        }
      }
    }
    std::sort(images_.begin(), images_.end(), [](const Image& a, const Image& b) {
      return std::tuple(a.bin, a.atom, a.shift) < std::tuple(b.bin, b.atom, b.shift);
    });
  }

  /// The neighbors of atom i, sorted by atom, then by shift.
  void within(double cutoff, std::size_t i, std::vector<Neighbor>& found) const {
    found.clear();
    const Vector3& x = positions_[i];
    const Bin at = bin_of(x);
    for (int row = 0; row < 9; ++row) { // three bins along the last axis, stored one after another
      const int across = row / 3 - 1;
      const int along = row % 3 - 1;
      const Bin first{at[0] + across, at[1] + along, at[2] - 1};
      const Bin last{first[0], first[1], at[2] + 1};
      auto image =
          std::lower_bound(images_.begin(), images_.end(), first, [](const Image& a, const Bin& b) {
            return a.bin < b;
          });
      for (; image != images_.end() && image->bin <= last; ++image) {
        const Vector3 r{image->x[0] - x[0], image->x[1] - x[1], image->x[2] - x[2]};
        const bool self = image->is_atom && image->atom == static_cast<std::int32_t>(i);
        if (!self && r[0] * r[0] + r[1] * r[1] + r[2] * r[2] < cutoff * cutoff) {
          found.push_back({image->atom, image->shift, r});
        }
      }
    }
    std::sort(found.begin(), found.end(), [](const Neighbor& a, const Neighbor& b) {
      return std::pair(a.atom, a.shift) < std::pair(b.atom, b.shift);
    });
  }

private:
  using Bin = std::array<double, 3>; ///< whole numbers that may exceed the range of an int

  struct Image {
    Bin bin;
    Vector3 x;
    std::int32_t atom;
    std::size_t shift;
    bool is_atom; ///< the atom itself, not an image
  };

  Bin bin_of(const Vector3& x) const {
    Bin bin{};
    for (std::size_t a = 0; a < 3; ++a) {
      bin[a] = std::floor((x[a] - low_[a]) / width_);
    }
    return bin;
  }

  const std::vector<Vector3>& positions_;
  double width_;
  std::vector<Image> images_;
  Vector3 low_{};
};

} // namespace eqnn
