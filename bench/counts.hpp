// SPDX-License-Identifier: BSD-3-Clause
// What kernels do by count, from a plan: floating-point operations, and bytes through main memory and
// through a device's second cache. Per atom and evaluation, of what dominates.
//
// Rows of nodes are counted once through main memory; rows of neighbors, radial tables, weights and work
// buffers of teams go through the second cache, as they do on a GPU (the first is too small for them).
#pragma once

#include "kernels/tile_multiply.hpp"
#include "plan/compile.hpp"
#include "plan/plan.hpp"

#include <algorithm>
#include <map>
#include <string>

namespace eqnn::bench {

struct Count {
  double flops = 0.0;  ///< a multiply-add counts two
  double memory = 0.0; ///< bytes
  double cache = 0.0;  ///< bytes
};

class Counts {
public:
  Counts(const plan::Plan& plan, const plan::Options& options, double n_neighbors)
      : plan_(plan)
      , options_(options)
      , neighbors_(n_neighbors)
      , bytes_(options.scalar_bytes) {
    for (const auto& stage : plan.stages) {
      std::visit([&](const auto& op) { count(op); }, stage);
    }
    count_edges();
  }

  std::map<std::string, Count> of; ///< by kernel

  double flops() const {
    double sum = 0.0;
    for (const auto& [name, count] : of) {
      sum += count.flops;
    }
    return sum;
  }

private:
  void add(const std::string& kernel, const Count& count) {
    Count& sum = of["eqnn::" + kernel];
    sum.flops += count.flops;
    sum.memory += count.memory;
    sum.cache += count.cache;
  }

  // ---- sizes ----

  const plan::NodeValue& value(plan::ValueId v) const {
    return plan_.values[static_cast<std::size_t>(v)];
  }

  /// Bytes of a row.
  double row(plan::ValueId v) const {
    return v == plan::kNoValue
               ? 0.0
               : bytes_ * static_cast<double>(plan::width_of(value(v), options_.channel_multiple));
  }

  double row(const plan::Input& in) const { return row(in.value); }

  double components(plan::ValueId v, std::int32_t block) const {
    return block == plan::kAllBlocks ? value(v).components
                                     : value(v).blocks[static_cast<std::size_t>(block)].components;
  }

  double degree(std::int32_t radial) const {
    return plan_.radials[static_cast<std::size_t>(radial)].degree;
  }

  double radial_channels(std::int32_t radial) const {
    return plan_.radials[static_cast<std::size_t>(radial)].channels;
  }

  double radial_bytes(std::int32_t radial) const {
    return bytes_ * (degree(radial) + 1.0) * radial_channels(radial);
  }

  double harmonics_bytes() const {
    return bytes_ * plan::padded(plan_.harmonics, options_.channel_multiple);
  }

  // ---- stages ----

  template <class Stage> void count(const Stage&) {}

  void count(const plan::EdgeAttention& s) {
    const double d = value(s.out).components;
    const double c = value(s.out).channels;
    const double mix = 2.0 * (d + 2.0) * c * c; // values on all components; logits and gates on one
    const double apply = 2.0 * d * d * c;       // an edge matrix
    const double matrix = bytes_ * d * d;
    // Buffers of a tile: messages, mixed messages and values are each written once and read once or
    // twice; weights are read for several rows at a time.
    const double buffers = 8.0 * bytes_ * d * c;
    const double weights = bytes_ * c * c * (d + 2.0) / kernels::device::kMostRows;
    add("edge_attention",
        {neighbors_ * (mix + 2.0 * apply),
         row(s.source) + row(s.center) + row(s.out) + neighbors_ * matrix,
         neighbors_ * (row(s.source) + radial_bytes(s.radial) + buffers + weights)});
    add("edge_attention_adjoint",
        {neighbors_ * (2.0 * mix + 5.0 * apply),
         row(s.source) + 2.0 * row(s.center) + 2.0 * row(s.out) +
             neighbors_ * (3.0 * matrix + row(s.source)),
         neighbors_ * (row(s.source) + radial_bytes(s.radial) + 2.0 * buffers + 2.0 * weights)});
    gather(s.source);
  }

  /// Messages that wait for their source.
  void gather(const plan::Input& source) {
    const double width = row(source);
    add("gather_messages", {neighbors_ * width / bytes_, neighbors_ * width + width, 0.0});
  }

  /// A team reads a matrix once for the nodes of its tile, for as long as the matrix fits into a first
  /// cache; a larger one once for so many rows as a thread takes.
  void count(const plan::Linear& s) {
    constexpr double kFirstCache = 128.0 * 1024;
    const std::string name = s.per_species ? "species_linear" : "linear";
    for (const auto& map : s.maps) {
      const auto& in = value(s.in.value).blocks[static_cast<std::size_t>(map.in)];
      const auto& out = value(s.out).blocks[static_cast<std::size_t>(map.out)];
      double n = 0.0;
      for (std::int32_t k = 0; k < map.n_blocks; ++k) {
        n += components(s.out, map.out + k);
      }
      const double weights = static_cast<double>(in.channels) * out.channels;
      const double times = bytes_ * weights <= kFirstCache ? 1.0 / kernels::kTileNodes
                                                           : n / kernels::device::kMostRows;
      const Count count{
          2.0 * n * weights, bytes_ * n * (in.channels + out.channels), bytes_ * weights * times};
      add(name, count);
      add(name + "_adjoint", count);
    }
  }

  void count(const plan::EdgeProduct& s) {
    const double powers = degree(s.radial) * radial_channels(s.radial);
    double product = 0.0;
    double scaled = 0.0;
    for (const auto& path : s.paths) {
      const double d1 = components(s.source.value, path.source);
      product += d1 * components(s.out, path.out) * path.channels;
      scaled += d1 * path.channels;
    }
    const double matrices = 2.0 * s.harmonics * s.entries;
    const double of_edge = row(s.source) + radial_bytes(s.radial);
    add("edge_product",
        {neighbors_ * (2.0 * product + scaled + 2.0 * powers + matrices),
         row(s.source) + row(s.out) + neighbors_ * harmonics_bytes(),
         neighbors_ * of_edge});
    add("edge_product_adjoint",
        {neighbors_ * (4.0 * product + 4.0 * powers + 2.0 * matrices),
         row(s.source) + row(s.out) + neighbors_ * (3.0 * harmonics_bytes() + row(s.source)),
         neighbors_ * of_edge});
    gather(s.source);
  }

  void count(const plan::EdgeNetworkProduct& s) {
    double product = 0.0;
    for (const auto& path : s.paths) {
      product +=
          components(s.source.value, path.source) * components(s.out, path.out) * path.channels;
    }
    double network = 0.0; // multiply-adds, as many as there are weights
    double values = 0.0;
    for (const auto& layer : s.layers) {
      network += static_cast<double>(layer.n_in) * layer.n_out;
      values += layer.n_in + layer.n_out;
    }
    const double matrices = 2.0 * s.harmonics * s.entries;
    const double powers = degree(s.radial) * radial_channels(s.radial);
    // Values of a tile are written once and read once; weights are read for several rows at a time.
    const double of_edge = row(s.source) + radial_bytes(s.radial) + 2.0 * bytes_ * values +
                           bytes_ * network / kernels::device::kMostRows;
    add("edge_network_product",
        {neighbors_ * (2.0 * network + 3.0 * product + 2.0 * powers + matrices),
         row(s.source) + row(s.center) + row(s.out) + neighbors_ * harmonics_bytes(),
         neighbors_ * of_edge});
    add("edge_network_product_adjoint",
        {neighbors_ * (4.0 * network + 9.0 * product + 4.0 * powers + 3.0 * matrices),
         row(s.source) + 2.0 * row(s.center) + row(s.out) +
             neighbors_ * (3.0 * harmonics_bytes() + row(s.source)),
         neighbors_ * 2.0 * of_edge});
    gather(s.source);
  }

  void count(const plan::CpProduct& s) {
    const double c = value(s.out).channels;
    const double powers = degree(s.radial) * radial_channels(s.radial);
    const double mix =
        s.source_factor.empty() ? 0.0 : 2.0 * s.rank * c * value(s.source.value).components;
    const double factors = 2.0 * s.harmonics * s.rank;
    const double of_edge = row(s.source) + radial_bytes(s.radial);
    add("cp_product",
        {neighbors_ * (3.0 * s.rank * c + mix + 2.0 * powers + factors),
         row(s.source) + row(s.out) + neighbors_ * harmonics_bytes(),
         neighbors_ * of_edge});
    add("cp_product_adjoint",
        {neighbors_ * (8.0 * s.rank * c + 2.0 * mix + 4.0 * powers + 2.0 * factors),
         row(s.source) + row(s.out) + neighbors_ * (3.0 * harmonics_bytes() + row(s.source)),
         neighbors_ * of_edge});
    gather(s.source);
  }

  void count(const plan::ComponentMap& s) {
    const double flops =
        2.0 * value(s.in.value).components * value(s.out).components * value(s.out).channels;
    add("component_map", {2.0 * flops, 2.0 * (row(s.in) + row(s.out)), 0.0});
  }

  void count(const plan::ZonalProduct& s) {
    const plan::ZonalCost cost = plan::multiply_adds(s);
    const double c = value(s.out).channels;
    const double matrices = 2.0 * s.entries * (2.0 * s.l_turned + 1.0);
    const double powers = degree(s.radial) * radial_channels(s.radial);
    const double of_edge = row(s.source) + radial_bytes(s.radial);
    add("zonal_product",
        {neighbors_ * (2.0 * cost.forward * c + matrices + 2.0 * powers),
         row(s.source) + row(s.out) + neighbors_ * harmonics_bytes(),
         neighbors_ * of_edge});
    add("zonal_product_adjoint",
        {neighbors_ * (2.0 * cost.adjoint * c + matrices + 4.0 * powers),
         row(s.source) + row(s.out) + neighbors_ * (2.0 * harmonics_bytes() + row(s.source)),
         neighbors_ * of_edge});
    gather(s.source);
  }

  void count(const plan::Polynomial& s) {
    const double c = value(s.in.value).channels;
    const auto terms = static_cast<double>(s.target.size());
    const auto monomials = static_cast<double>(s.monomials.size());
    const double table = bytes_ * terms * c;
    add("polynomial", {c * (2.0 * terms + monomials), row(s.in) + row(s.out), table});
    add("polynomial_adjoint",
        {c * (2.0 * terms + 5.0 * monomials), 2.0 * row(s.in) + row(s.out), table});
  }

  static double transform(const plan::SphereTransform& t, double channels) {
    return 2.0 * channels *
           (t.n_rings == 0 ? static_cast<double>(t.n_points) * t.n_components
                           : static_cast<double>(t.polar.size()) +
                                 t.n_rings * static_cast<double>(t.azimuthal.size()));
  }

  void count(const plan::GauntProduct& s) {
    const double c = value(s.out).channels;
    const double rows = row(s.a) + row(s.b) + row(s.out);
    const double sparse = 2.0 * static_cast<double>(s.gaunt.size() + s.curl.size()) * c;
    const double in = transform(s.of_a, c) + transform(s.of_b, c);
    const double out = transform(s.of_out, c);
    const bool is_sparse = s.method == plan::SphereMethod::Sparse;
    add("gaunt_product", {is_sparse ? sparse : in + out, rows, 0.0});
    add("gaunt_product_adjoint",
        {is_sparse ? 2.0 * sparse : 2.0 * in + out, rows + row(s.a) + row(s.b), 0.0});
  }

  void count(const plan::SpherePower& s) {
    const double c = value(s.out).channels;
    const double in = transform(s.of_in, c);
    const double out = s.n_orders * transform(s.of_out, c);
    add("sphere_power", {in + out, row(s.in) + row(s.out), 0.0});
    add("sphere_power_adjoint", {2.0 * in + out, 2.0 * row(s.in) + row(s.out), 0.0});
  }

  void count(const plan::Readout& s) {
    double weights = 0.0;
    for (const auto& layer : s.layers) {
      weights += static_cast<double>(layer.n_in) * layer.n_out;
    }
    add("readout", {2.0 * weights, row(s.in), bytes_ * weights / kernels::kTileNodes});
    add("readout_adjoint",
        {4.0 * weights, 2.0 * row(s.in), bytes_ * weights / kernels::kTileNodes});
  }

  template <class Norm> void count_norm(const char* name, const Norm& s) {
    add(name, {5.0 * row(s.in) / bytes_, row(s.in) + row(s.out), 0.0});
    add(std::string(name) + "_adjoint",
        {10.0 * row(s.in) / bytes_, 2.0 * row(s.in) + row(s.out), 0.0});
  }

  void count(const plan::EquivariantNorm& s) { count_norm("equivariant_norm", s); }

  void count(const plan::RmsNorm& s) { count_norm("rms_norm", s); }

  void count(const plan::NormActivation& s) { count_norm("norm_activation", s); }

  /// Vectors, distances, harmonics and matrices, and their adjoints; forces.
  void count_edges() {
    const double vector = 3.0 * sizeof(double);
    double matrices = 0.0;
    for (const auto& coupling : plan_.couplings) {
      const double d = coupling.components;
      matrices += d * d;
      add("edge_matrices",
          {neighbors_ * 2.0 * d * d * d, neighbors_ * (vector + bytes_ * d * d), 0.0});
      add("edge_matrices_adjoint",
          {neighbors_ * 6.0 * d * d * d, neighbors_ * (2.0 * vector + bytes_ * d * d), 0.0});
    }
    add("clear_adjoints", {0.0, neighbors_ * (bytes_ * (matrices + 4.0) + harmonics_bytes()), 0.0});
    add("distances", {neighbors_ * 8.0, neighbors_ * (vector + 8.0), 0.0});
    add("distances_adjoint", {neighbors_ * 10.0, neighbors_ * (2.0 * vector + 12.0), 0.0});
    if (plan_.harmonics > 0) {
      const double flops = neighbors_ * 10.0 * plan_.harmonics;
      add("edge_harmonics", {flops, neighbors_ * (vector + harmonics_bytes()), 0.0});
      add("edge_tangents",
          {3.0 * flops, neighbors_ * (vector + 2.0 * harmonics_bytes() + 8.0), 0.0});
      add("edge_gradient", {neighbors_ * 30.0, neighbors_ * (3.0 * vector + 8.0), 0.0});
    }
    add("fold", {neighbors_ * 12.0, neighbors_ * vector + 100.0, neighbors_ * vector});
  }

  const plan::Plan& plan_;
  const plan::Options& options_;
  double neighbors_, bytes_;
};

/// A card's rates, by its data sheet; that of the second cache, which has none there, is assumed.
struct Card {
  const char* name;
  double flops, memory, cache; ///< a second
};

inline constexpr Card kH100{"H100 SXM", 66.9e12, 3.35e12, 5.5e12};

/// The least time that a card's rates allow for a kernel, us.
inline double least_time(const Count& count, const Card& card) {
  return 1e6 *
         std::max({count.flops / card.flops, count.memory / card.memory, count.cache / card.cache});
}

} // namespace eqnn::bench
