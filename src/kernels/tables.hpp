// SPDX-License-Identifier: BSD-3-Clause
// Tables that the stages of a network share on a device: the layout of values in their rows,
// couplings, radial functions. Uploaded weights are converted to the working precision, their
// channels padded, their matrices packed for tile_multiply.hpp.
#pragma once

#include "base/release.hpp"
#include "kernels/edge_tiles.hpp"
#include "kernels/harmonics.hpp"
#include "plan/compile.hpp"
#include "plan/matrix.hpp"

#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

namespace eqnn::kernels {

/// Channels are padded with zeros to a multiple of the SIMD width.
template <class Scalar> std::int32_t padded_channels(std::int32_t channels) {
  return plan::padded(channels, kLanes<Scalar>);
}

/// Copies host values to the device and converts them. Adds their bytes to `counter`.
template <class S, class T, class From>
Array<S, T> upload(const char* label, const std::vector<From>& values, std::size_t& counter) {
  const auto array = allocate<Array<S, T>>(label, values.size());
  auto host = Kokkos::create_mirror_view(array);
  for (std::size_t k = 0; k < values.size(); ++k) {
    host(k) = static_cast<T>(values[k]);
  }
  Kokkos::deep_copy(array, host);
  counter += values.size() * sizeof(T);
  return array;
}

/// [n] -> [n_padded], filled up with zeros.
inline std::vector<double> pad(const std::vector<double>& values, std::int32_t n_padded) {
  std::vector<double> out = values;
  out.resize(static_cast<std::size_t>(n_padded), 0.0);
  return out;
}

/// [n_rows, n_columns] row-major -> [n_rows_padded, n_columns_padded] in panels of kPanel columns.
template <class Scalar> std::vector<double> pack(const std::vector<double>& matrix,
                                                 std::int32_t n_rows,
                                                 std::int32_t n_columns,
                                                 std::int32_t n_rows_padded,
                                                 std::int32_t n_columns_padded) {
  std::vector<double> out(
      static_cast<std::size_t>(packed_size<Scalar>(n_rows_padded, n_columns_padded)), 0.0);
  for (std::int32_t r = 0; r < n_rows; ++r) {
    for (std::int32_t c = 0; c < n_columns; ++c) {
      const std::int64_t at = (c / kPanel<Scalar>)*kPanel<Scalar> * std::int64_t{n_rows_padded} +
                              r * std::int64_t{kPanel<Scalar>} + c % kPanel<Scalar>;
      out[static_cast<std::size_t>(at)] =
          matrix[static_cast<std::size_t>(r) * static_cast<std::size_t>(n_columns) +
                 static_cast<std::size_t>(c)];
    }
  }
  return out;
}

/// present[z] = 1 for each species that occurs among the nodes, else 0
template <class S> void mark_species(const typename S::Exec& space,
                                     const DeviceEdges<S>& edges,
                                     const Array<S, std::int32_t>& present) {
  const auto species = edges.species;
  Kokkos::deep_copy(space, present, 0);
  Kokkos::parallel_for(
      "eqnn::mark_species",
      typename S::Range(space, 0, edges.n_nodes),
      KOKKOS_LAMBDA(std::int64_t i) {
        const std::int32_t z = species(i);
        if (Kokkos::atomic_load(&present(z)) == 0) {
          Kokkos::atomic_store(&present(z), 1);
        }
      });
}

template <class S> class DeviceTables {
public:
  using Scalar = typename S::Scalar;

  /// Takes the couplings and radial tables of a plan and frees them there.
  explicit DeviceTables(plan::Plan& host);

  // ---- layout of a row ----

  const plan::NodeValue& value(plan::ValueId v) const {
    return values[static_cast<std::size_t>(v)];
  }

  std::int32_t channels_of(plan::ValueId v) const { return value(v).channels; }

  const plan::Block& block(plan::ValueId v, std::int32_t b) const {
    return value(v).blocks[static_cast<std::size_t>(b)];
  }

  static std::int32_t stride_of(const plan::Block& block) {
    return padded_channels<Scalar>(block.reserved);
  }

  /// Offset of block b in a row.
  std::int32_t first_of(plan::ValueId v, std::int32_t b) const {
    std::int32_t first = 0;
    for (std::int32_t k = 0; k < b; ++k) {
      first += block(v, k).components * stride_of(block(v, k));
    }
    return first;
  }

  std::int32_t pitch_of(plan::ValueId v) const {
    return first_of(v, static_cast<std::int32_t>(value(v).blocks.size()));
  }

  /// Offset of component k of a value in a row.
  std::int32_t component_of(plan::ValueId v, std::int32_t k) const {
    std::int32_t b = 0;
    while (k >= block(v, b).components) {
      k -= block(v, b++).components;
    }
    return first_of(v, b) + k * stride_of(block(v, b));
  }

  /// Makes the tables for all pairs of species that occur among the nodes for the first time.
  void make_pairs(const typename S::Exec& space, const DeviceEdges<S>& edges) {
    if (pair_radials_.empty()) {
      return;
    }
    mark_species<S>(space, edges, species_present_);
    Kokkos::deep_copy(
        space,
        Kokkos::View<std::int32_t*, Kokkos::HostSpace>(seen_species_.data(), seen_species_.size()),
        species_present_);
    space.fence("eqnn::species_present");
    bool is_new = false;
    for (std::size_t z = 0; z < seen_species_.size(); ++z) {
      is_new = is_new || seen_species_[z] > known_species_[z];
      seen_species_[z] = std::max(seen_species_[z], known_species_[z]);
    }
    if (is_new) {
      for (PairRadial& radial : pair_radials_) {
        make_pairs(radial);
      }
      known_species_ = seen_species_;
    }
  }

  std::int32_t radial_stride(std::int32_t radial) const {
    return radials[static_cast<std::size_t>(radial)].stride;
  }

  std::int32_t harmonics_stride() const { return padded_channels<Scalar>(n_harmonics); }

  // ---- uploads; each counts its bytes ----

  template <class T, class From>
  Array<S, T> array(const char* label, const std::vector<From>& host) {
    return upload<S, T>(label, host, bytes);
  }

  /// [rows, channels] -> [rows, padded channels]
  static std::vector<double> pad_rows(const std::vector<double>& values, std::int32_t channels) {
    const auto stride = static_cast<std::size_t>(padded_channels<Scalar>(channels));
    const std::size_t n_rows = values.size() / static_cast<std::size_t>(channels);
    std::vector<double> out(n_rows * stride, 0.0);
    for (std::size_t r = 0; r < n_rows; ++r) {
      std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(r) * channels,
                  channels,
                  out.begin() + static_cast<std::ptrdiff_t>(r * stride));
    }
    return out;
  }

  Array<S, Scalar> packed_weight(const char* label,
                                 const std::vector<double>& weight,
                                 std::int32_t n_in,
                                 std::int32_t n_out) {
    return upload<S, Scalar>(
        label,
        pack<Scalar>(
            weight, n_in, n_out, padded_channels<Scalar>(n_in), padded_channels<Scalar>(n_out)),
        bytes);
  }

  Array<S, Scalar> padded_vector(const char* label, const std::vector<double>& host) {
    const auto n = padded_channels<Scalar>(static_cast<std::int32_t>(host.size()));
    return array<Scalar>(label, pad(host, n));
  }

  /// Reserves `width` sums per edge that a stage keeps for its adjoint. Returns their index for
  /// Context::kept_on_edges().
  std::int32_t keep_on_edges(std::int32_t width) {
    kept_widths.push_back(width);
    return static_cast<std::int32_t>(kept_widths.size()) - 1;
  }

  std::vector<plan::NodeValue> values;
  HarmonicsTable harmonics{};
  std::int32_t n_harmonics = 0; ///< components that stages read directly; 0: none
  bool tangents = false;        ///< whether a stage reads Context::tangents()
  std::vector<DeviceCoupling<S>> couplings;
  std::vector<DeviceRadial<S>> radials;
  std::vector<std::int32_t> kept_widths;
  std::size_t bytes = 0;

private:
  void add_coupling(const plan::Coupling& coupling) {
    const std::int32_t d = coupling.components;
    DeviceCoupling<S> out;
    out.components = d;
    out.forward = upload<S, Scalar>(
        "eqnn::coupling",
        pack<Scalar>(coupling.values, d, d * d, d, padded_channels<Scalar>(d * d)),
        bytes);
    out.adjoint = upload<S, Scalar>("eqnn::coupling_adjoint",
                                    pack<Scalar>(plan::transposed(coupling.values, d, d * d),
                                                 d * d,
                                                 d,
                                                 d * d,
                                                 padded_channels<Scalar>(d)),
                                    bytes);
    couplings.push_back(out);
  }

  /// The source of a radial function's pair tables, and the tables made so far.
  struct PairRadial {
    std::size_t index = 0; ///< in radials
    std::shared_ptr<const plan::PairTables> source;
    std::vector<std::int32_t> channels; ///< plan::RadialTable::channel_of_pair, padded with -1
    std::vector<std::int32_t> table_of_pair;
    std::vector<double> middle, scale;
    std::vector<std::int32_t> interval_of_cell;
    std::int32_t n_tables = 0;
    // On the device.
    Array<S, std::int32_t> pairs_there, cells_there;
    Array<S, double> middle_there, scale_there;
  };

  void make_pairs(PairRadial& of) {
    DeviceRadial<S>& out = radials[of.index];
    const std::int32_t n_species = out.n_species;
    std::vector<double> coefficients;
    const std::size_t n_before = of.middle.size();
    for (std::int32_t i = 0; i < n_species; ++i) {
      for (std::int32_t j = 0; j < n_species; ++j) {
        const auto pair = static_cast<std::size_t>(i * n_species + j);
        if (seen_species_[static_cast<std::size_t>(i)] == 0 ||
            seen_species_[static_cast<std::size_t>(j)] == 0 || of.table_of_pair[pair] >= 0) {
          continue;
        }
        if (of.source->is_symmetric() && j < i) {
          of.table_of_pair[pair] = of.table_of_pair[static_cast<std::size_t>(j * n_species + i)];
          continue;
        }
        add_table(of, of.source->make(i, j), coefficients);
        of.table_of_pair[pair] = of.n_tables++;
      }
    }
    append(out.coefficients,
           "eqnn::radial",
           coefficients,
           n_before * static_cast<std::size_t>(out.degree + 1) *
               static_cast<std::size_t>(out.stride));
    std::size_t no_bytes = 0;
    out.n_intervals = static_cast<std::int32_t>(of.middle.size());
    of.pairs_there = upload<S, std::int32_t>("eqnn::radial_pairs", of.table_of_pair, no_bytes);
    of.cells_there = upload<S, std::int32_t>("eqnn::radial_cells", of.interval_of_cell, no_bytes);
    of.middle_there = upload<S, double>("eqnn::radial_middles", of.middle, no_bytes);
    of.scale_there = upload<S, double>("eqnn::radial_scales", of.scale, no_bytes);
    out.table_of_pair = of.pairs_there.data();
    out.interval_of_cell = of.cells_there.data();
    out.middle = of.middle_there.data();
    out.scale = of.scale_there.data();
  }

  /// Appends a pair's table, with its channels in the order used here.
  void add_table(PairRadial& of, const plan::PairTable& table, std::vector<double>& coefficients) {
    const auto first = static_cast<std::int32_t>(of.middle.size());
    for (const std::int32_t interval : table.interval_of_cell) {
      of.interval_of_cell.push_back(first + interval);
    }
    of.middle.insert(of.middle.end(), table.middle.begin(), table.middle.end());
    of.scale.insert(of.scale.end(), table.scale.begin(), table.scale.end());
    const auto n_rows =
        table.middle.size() * static_cast<std::size_t>(radials[of.index].degree + 1);
    const std::size_t n_channels = table.coefficients.size() / n_rows;
    for (std::size_t row = 0; row < n_rows; ++row) {
      for (const std::int32_t c : of.channels) {
        coefficients.push_back(
            c < 0 ? 0.0 : table.coefficients[row * n_channels + static_cast<std::size_t>(c)]);
      }
    }
  }

  /// Appends numbers to the first n entries of an array.
  void append(Array<S, Scalar>& array,
              const char* label,
              const std::vector<double>& numbers,
              std::size_t n) {
    const auto grown = allocate<Array<S, Scalar>>(label, n + numbers.size());
    const auto host = Kokkos::create_mirror_view(grown);
    for (std::size_t k = 0; k < numbers.size(); ++k) {
      host(n + k) = static_cast<Scalar>(numbers[k]);
    }
    if constexpr (S::kOnHost) {
      Kokkos::deep_copy(part(grown, 0, n), part(array, 0, n));
    } else {
      Kokkos::deep_copy(part(grown, n, n + numbers.size()), part(host, n, n + numbers.size()));
      Kokkos::deep_copy(part(grown, 0, n), part(array, 0, n));
    }
    bytes += numbers.size() * sizeof(Scalar);
    array = grown;
  }

  template <class View> static auto part(const View& view, std::size_t begin, std::size_t end) {
    return Kokkos::subview(view, std::make_pair(begin, end));
  }

  void add_pairs(const plan::RadialTable& table, double cutoff) {
    DeviceRadial<S> out;
    out.degree = table.degree;
    out.stride = padded_channels<Scalar>(table.channels);
    out.n_species = table.pairs->n_species();
    out.n_cells = table.pairs->n_cells();
    out.cells_per_angstrom = out.n_cells / cutoff;
    PairRadial of;
    of.index = radials.size();
    of.source = table.pairs;
    of.channels = table.channel_of_pair;
    if (of.channels.empty()) {
      of.channels.resize(static_cast<std::size_t>(table.channels));
      std::iota(of.channels.begin(), of.channels.end(), 0);
    }
    of.channels.resize(static_cast<std::size_t>(out.stride), -1);
    const auto n_species = static_cast<std::size_t>(out.n_species);
    of.table_of_pair.assign(n_species * n_species, -1);
    known_species_.assign(n_species, 0);
    seen_species_.assign(n_species, 0);
    species_present_ = allocate<Array<S, std::int32_t>>("eqnn::species_present", n_species);
    pair_radials_.push_back(std::move(of));
    radials.push_back(out);
  }

  std::vector<PairRadial> pair_radials_;
  std::vector<std::int32_t> known_species_, seen_species_; ///< [n_species] 1 or 0
  Array<S, std::int32_t> species_present_;

  void add_radial(const plan::RadialTable& table, double cutoff) {
    if (table.pairs) {
      add_pairs(table, cutoff);
      return;
    }
    DeviceRadial<S> out;
    out.n_intervals = table.n_intervals;
    out.degree = table.degree;
    out.stride = padded_channels<Scalar>(table.channels);
    out.intervals_per_angstrom = table.n_intervals / cutoff;
    out.coefficients =
        upload<S, Scalar>("eqnn::radial", pad_rows(table.coefficients, table.channels), bytes);
    radials.push_back(out);
  }
};

template <class S> DeviceTables<S>::DeviceTables(plan::Plan& host)
    : values(host.values)
    , harmonics(harmonics_table())
    , n_harmonics(host.harmonics) {
  for (auto& coupling : host.couplings) {
    add_coupling(coupling);
  }
  for (auto& radial : host.radials) {
    add_radial(radial, host.cutoff);
    release(radial.coefficients);
  }
  host.couplings.clear();
}

} // namespace eqnn::kernels
