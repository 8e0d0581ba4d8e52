// SPDX-License-Identifier: BSD-3-Clause
// What the stages of a network share on a device: where values lie in their rows, couplings, radial
// functions. Weights go there converted to the working precision, channels padded, matrices packed for
// tile_multiply.hpp.
#pragma once

#include "kernels/edge_tiles.hpp"
#include "kernels/harmonics.hpp"
#include "plan/compile.hpp"
#include "plan/matrix.hpp"

#include <algorithm>
#include <vector>

namespace eqnn::kernels {

/// Channels are padded with zeros to a multiple of the SIMD width.
template <class Scalar> std::int32_t padded_channels(std::int32_t channels) {
  return plan::padded(channels, kLanes<Scalar>);
}

/// Copies host values to the device, converted. `counter` collects bytes.
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

/// [n] -> [n_padded], zeros behind.
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

template <class S> class DeviceTables {
public:
  using Scalar = typename S::Scalar;

  /// Takes the tables of a plan, which then keeps its wiring alone.
  explicit DeviceTables(plan::Plan& host);

  // ---- where things are in a row ----

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

  /// Where block b begins in a row.
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

  /// Where component k of a value begins in a row.
  std::int32_t component_of(plan::ValueId v, std::int32_t k) const {
    std::int32_t b = 0;
    while (k >= block(v, b).components) {
      k -= block(v, b++).components;
    }
    return first_of(v, b) + k * stride_of(block(v, b));
  }

  std::int32_t radial_stride(std::int32_t radial) const {
    return radials[static_cast<std::size_t>(radial)].stride;
  }

  std::int32_t harmonics_stride() const { return padded_channels<Scalar>(n_harmonics); }

  // ---- to the device; each counts its bytes ----

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

  /// Room for so many sums an edge that a stage keeps for its adjoint. Returns where: see
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

  void add_radial(const plan::RadialTable& table, double cutoff) {
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
    radial.coefficients.clear();
  }
  host.couplings.clear();
}

} // namespace eqnn::kernels
