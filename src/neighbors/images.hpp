// SPDX-License-Identifier: BSD-3-Clause
// Which atoms and periodic images are near an atom, in time that grows with the number of atoms.
#pragma once

#include "neighbors/lattice.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

namespace eqnn {

/// Atoms and their periodic images near any atom, in bins at least as wide as the cutoff: an atom's
/// neighbours are in its own bin and the 26 around it.
class Images {
public:
  struct Neighbor {
    std::int32_t atom;
    std::size_t shift;
    Vector3 r;
  };

  Images(const std::vector<Vector3>& positions, const std::vector<Vector3>& shifts, double cutoff)
      : positions_(positions) {
    const double reach = cutoff + 1e-6; // coordinates and bins are rounded
    low_.fill(std::numeric_limits<double>::infinity());
    Vector3 high{};
    high.fill(-std::numeric_limits<double>::infinity());
    for (const Vector3& x : positions) {
      for (std::size_t a = 0; a < 3; ++a) {
        low_[a] = std::min(low_[a], x[a] - reach);
        high[a] = std::max(high[a], x[a] + reach);
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
    const Vector3& x = positions_[i];
    const std::array<std::int64_t, 3> at = bin_of(x);
    std::array<std::int64_t, 3> bin{};
    for (bin[0] = std::max<std::int64_t>(at[0] - 1, 0); bin[0] < end_of(at, 0); ++bin[0]) {
      for (bin[1] = std::max<std::int64_t>(at[1] - 1, 0); bin[1] < end_of(at, 1); ++bin[1]) {
        for (bin[2] = std::max<std::int64_t>(at[2] - 1, 0); bin[2] < end_of(at, 2); ++bin[2]) {
          const std::size_t b = index_of(bin);
          for (std::size_t k = begin_[b]; k < begin_[b + 1]; ++k) {
            const Image& image = images_[order_[k]];
            const Vector3 r{image.x[0] - x[0], image.x[1] - x[1], image.x[2] - x[2]};
            const bool self = image.is_atom && image.atom == static_cast<std::int32_t>(i);
            if (!self && r[0] * r[0] + r[1] * r[1] + r[2] * r[2] < cutoff * cutoff) {
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
    Vector3 x;
    std::int32_t atom;
    std::size_t shift;
    bool is_atom; ///< not an image of it
  };

  void choose_bins(const Vector3& high, double reach) {
    Vector3 width{};
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

  std::array<std::int64_t, 3> bin_of(const Vector3& x) const {
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

  const std::vector<Vector3>& positions_;
  std::vector<Image> images_;
  Vector3 low_{}, inverse_{};
  std::array<std::int64_t, 3> n_{};
  std::vector<std::size_t> begin_, order_;
};

} // namespace eqnn
