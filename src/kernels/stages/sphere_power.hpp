// SPDX-License-Identifier: BSD-3-Clause
// Powers of a function on the sphere, computed from its values at points. docs/spec/gaunt.md
#pragma once

#include "kernels/context.hpp"
#include "kernels/sphere_transform.hpp"
#include "plan/stages/sphere_power.hpp"

#include <algorithm>

namespace eqnn::kernels {

template <class S> struct DeviceSpherePower {
  std::int32_t stride = 0, d_in = 0, d_out = 0, n_orders = 0;
  DeviceTransform<S> of_in, of_out;
  /// [n_species, n_orders, d_out, stride], one row per component in the order of of_out
  Array<S, typename S::Scalar> weights;

  /// Scalars of scratch: input and output components, three functions, series.
  std::int64_t scratch() const {
    return stride * (std::int64_t{d_in} + d_out + 3 * std::int64_t{of_out.n_points} +
                     std::max(of_in.series(), of_out.series()));
  }
};

template <class S> void sphere_power(const typename S::Exec& space,
                                     const DeviceEdges<S>& edges,
                                     const DeviceSpherePower<S>& p,
                                     const Rows<typename S::Scalar>& in,
                                     const Rows<typename S::Scalar>& out) {
  using Scalar = typename S::Scalar;
  using Team = typename S::Team;
  const std::int64_t size = p.scratch();
  Kokkos::parallel_for(
      "eqnn::sphere_power",
      team_policy<S>(space, edges.n_centers, Scratch<Team>::template bytes<Scalar>(size)),
      KOKKOS_LAMBDA(const Team& team) {
        const std::int64_t node = team.league_rank();
        const int s = p.stride;
        const int n = p.of_out.n_points;
        Scalar* const x = Scratch<Team>(team).template take<Scalar>(size);
        Scalar* const y = x + p.d_in * s;
        Scalar* const f = y + p.d_out * s;
        Scalar* const power = f + std::int64_t{n} * s;
        Scalar* const series = power + 2 * std::int64_t{n} * s;
        Scalar* const result = out.row(node);
        gather_scaled<S>(team, {p.of_in.order, {}, p.d_in, s}, in.row(node), x);
        to_points<S>(team, p.of_in, s, x, series, f);
        for (int nu = 0; nu < p.n_orders; ++nu) {
          for_rows(team, n, [&](std::int64_t q) {
            for_channels(team, s, [&](int c) {
              const std::int64_t k = q * s + c;
              power[k] = nu == 0 ? f[k] : power[k] * f[k];
            });
          });
          barrier(team);
          from_points<false, S>(team, p.of_out, s, power, series, y);
          const Scalar* const weights =
              p.weights.data() +
              (std::int64_t{edges.species(node)} * p.n_orders + nu) * p.d_out * s;
          for_rows(team, p.d_out, [&](std::int64_t k) {
            Scalar* const row = result + std::int64_t{p.of_out.order(k)} * s;
            for_channels(team, s, [&](int c) {
              const Scalar term = weights[k * s + c] * y[k * s + c];
              row[c] = nu == 0 ? term : row[c] + term;
            });
          });
          barrier(team);
        }
      });
}

/// adj_f = sum over nu of nu f^(nu-1) h_nu, where h_nu are the values of the function weight_nu
/// adj_out.
template <class S> void sphere_power_adjoint(const typename S::Exec& space,
                                             const DeviceEdges<S>& edges,
                                             const DeviceSpherePower<S>& p,
                                             const AdjointRows<typename S::Scalar>& rows) {
  const Rows<typename S::Scalar> in = rows.in;
  const Rows<typename S::Scalar> adj_out = rows.adj_out;
  const Rows<typename S::Scalar> adj_in = rows.adj_in;
  const bool keep = rows.keep();
  using Scalar = typename S::Scalar;
  using Team = typename S::Team;
  const std::int64_t size = p.scratch();
  Kokkos::parallel_for(
      "eqnn::sphere_power_adjoint",
      team_policy<S>(space, edges.n_centers, Scratch<Team>::template bytes<Scalar>(size)),
      KOKKOS_LAMBDA(const Team& team) {
        const std::int64_t node = team.league_rank();
        const int s = p.stride;
        const int n = p.of_out.n_points;
        Scalar* const x = Scratch<Team>(team).template take<Scalar>(size);
        Scalar* const y = x + p.d_in * s;
        Scalar* const f = y + p.d_out * s;
        Scalar* const h = f + std::int64_t{n} * s;
        Scalar* const adj_f = h + std::int64_t{n} * s;
        Scalar* const series = adj_f + std::int64_t{n} * s;
        const Scalar* const adj_y = adj_out.row(node);
        gather_scaled<S>(team, {p.of_in.order, {}, p.d_in, s}, in.row(node), x);
        to_points<S>(team, p.of_in, s, x, series, f);
        // Horner's rule in f, from the highest order down
        for (int nu = p.n_orders - 1; nu >= 0; --nu) {
          const Scalar* const weights =
              p.weights.data() +
              (std::int64_t{edges.species(node)} * p.n_orders + nu) * p.d_out * s;
          for_rows(team, p.d_out, [&](std::int64_t k) {
            const Scalar* const row = adj_y + std::int64_t{p.of_out.order(k)} * s;
            for_channels(team, s, [&](int c) { y[k * s + c] = weights[k * s + c] * row[c]; });
          });
          barrier(team);
          to_points<S>(team, p.of_out, s, y, series, h);
          const auto factor = static_cast<Scalar>(nu + 1);
          const bool is_first = nu == p.n_orders - 1;
          for_rows(team, n, [&](std::int64_t q) {
            for_channels(team, s, [&](int c) {
              const std::int64_t k = q * s + c;
              adj_f[k] = factor * h[k] + (is_first ? Scalar(0) : adj_f[k] * f[k]);
            });
          });
          barrier(team);
        }
        from_points<false, S>(team, p.of_in, s, adj_f, series, x);
        scatter_scaled<S>(team, {p.of_in.order, {}, p.d_in, s}, x, adj_in.row(node), keep);
      });
}

template <class S> struct SpherePowerStage {
  using Scalar = typename S::Scalar;

  plan::SpherePower op;
  DeviceSpherePower<S> power;

  SpherePowerStage(plan::SpherePower host, DeviceTables<S>& tables)
      : op(std::move(host)) {
    DeviceSpherePower<S>& p = power;
    const std::int32_t channels = tables.channels_of(op.in.value);
    p.stride = padded_channels<Scalar>(channels);
    p.d_in = tables.value(op.in.value).components;
    p.d_out = tables.value(op.out).components;
    p.n_orders = op.n_orders;
    p.of_in = transform<S>(op.of_in, tables);
    p.of_out = transform<S>(op.of_out, tables);
    // one row per component, in the transform's order
    std::vector<double> weights;
    const std::int32_t n_degrees = degree_of(p.d_out - 1) + 1;
    const std::size_t block =
        static_cast<std::size_t>(n_degrees) * static_cast<std::size_t>(channels);
    for (std::size_t begin = 0; begin < op.weights.size(); begin += block) {
      for (const std::int32_t component : op.of_out.order) {
        const std::int32_t l = degree_of(component);
        const auto from =
            op.weights.begin() + static_cast<std::ptrdiff_t>(begin) + std::ptrdiff_t{l} * channels;
        const auto row = pad({from, from + channels}, p.stride);
        weights.insert(weights.end(), row.begin(), row.end());
      }
    }
    p.weights = tables.template array<Scalar>("eqnn::sphere_power_weights", weights);
    release(op.weights);
    op.of_in = op.of_out = {};
  }

  std::int32_t message_width(const DeviceTables<S>&) const { return 0; }

  void forward(const Context<S>& at) const {
    sphere_power(at.space(), at.edges(), power, at.value(op.in), at.value(op.out));
  }

  void adjoint(const Context<S>& at) const {
    sphere_power_adjoint(at.space(), at.edges(), power, at.adjoint_rows(op.in, op.out));
  }
};

} // namespace eqnn::kernels
