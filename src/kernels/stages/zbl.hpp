// SPDX-License-Identifier: BSD-3-Clause
// Screened nuclear repulsion (ZBL).
#pragma once

#include "kernels/context.hpp"
#include "plan/stages/zbl.hpp"

namespace eqnn::kernels {

template <class S> struct DeviceZbl {
  std::int32_t n_species = 0, n_terms = 0;
  double p = 0.0;
  Array<S, double> prefactor, range, exponents, coefficients;
};

/// Energy of one directed edge, and its slope.
template <class S> KOKKOS_INLINE_FUNCTION void
pair_energy(const DeviceZbl<S>& q, std::int32_t pair, double r, double& value, double& slope) {
  value = 0.0;
  slope = 0.0;
  const double range = q.range(pair);
  if (r >= range) {
    return;
  }
  double screening = 0.0;
  double screening_slope = 0.0;
  for (int t = 0; t < q.n_terms; ++t) {
    const double exponent = q.exponents(pair * q.n_terms + t);
    const double term = q.coefficients(t) * Kokkos::exp(-exponent * r);
    screening += term;
    screening_slope -= term * exponent;
  }
  const double x = r / range;
  const double power = Kokkos::pow(x, q.p);
  const double envelope = 1.0 - 0.5 * (q.p + 1.0) * (q.p + 2.0) * power +
                          q.p * (q.p + 2.0) * power * x - 0.5 * q.p * (q.p + 1.0) * power * x * x;
  const double envelope_slope =
      -0.5 * q.p * (q.p + 1.0) * (q.p + 2.0) * power / x * (1.0 - x) * (1.0 - x) / range;
  const double scale = q.prefactor(pair) / r;
  value = scale * screening * envelope;
  slope = scale * ((screening_slope - screening / r) * envelope + screening * envelope_slope);
}

/// Adds to energy [n_centers].
template <class S> void zbl(const typename S::Exec& space,
                            const DeviceEdges<S>& edges,
                            const DeviceZbl<S>& q,
                            const Array<S, double>& energy) {
  Kokkos::parallel_for(
      "eqnn::zbl", typename S::Range(space, 0, edges.n_centers), KOKKOS_LAMBDA(std::int64_t i) {
        for (std::int64_t e = edges.begin(i); e < edges.begin(i + 1); ++e) {
          double value = 0.0;
          double slope = 0.0;
          pair_energy(q,
                      edges.species(i) * q.n_species + edges.species(edges.source(e)),
                      edges.distance(e),
                      value,
                      slope);
          energy(i) += value;
        }
      });
}

/// Adds to adj_distance [n_edges].
template <class S> void zbl_adjoint(const typename S::Exec& space,
                                    const DeviceEdges<S>& edges,
                                    const DeviceZbl<S>& q,
                                    const Array<S, double>& seed,
                                    const Array<S, typename S::Accum>& adj_distance) {
  Kokkos::parallel_for(
      "eqnn::zbl_adjoint",
      typename S::Range(space, 0, edges.n_edges),
      KOKKOS_LAMBDA(std::int64_t e) {
        const std::int32_t i = edges.center(e);
        double value = 0.0;
        double slope = 0.0;
        pair_energy(q,
                    edges.species(i) * q.n_species + edges.species(edges.source(e)),
                    edges.distance(e),
                    value,
                    slope);
        adj_distance(e) += static_cast<typename S::Accum>(seed(i) * slope);
      });
}

template <class S> struct ZblStage {
  using Scalar = typename S::Scalar;

  plan::Zbl op;
  DeviceZbl<S> zbl;

  ZblStage(plan::Zbl host, DeviceTables<S>& tables)
      : op(std::move(host)) {
    DeviceZbl<S>& q = zbl;
    q.n_species = op.n_species;
    q.n_terms = static_cast<std::int32_t>(op.coefficients.size());
    q.p = op.p;
    q.prefactor = tables.template array<double>("eqnn::zbl", op.prefactor);
    q.range = tables.template array<double>("eqnn::zbl", op.range);
    q.exponents = tables.template array<double>("eqnn::zbl", op.exponents);
    q.coefficients = tables.template array<double>("eqnn::zbl", op.coefficients);
    for (auto* const numbers : {&op.prefactor, &op.range, &op.exponents, &op.coefficients}) {
      release(*numbers);
    }
  }

  std::int32_t message_width(const DeviceTables<S>&) const { return 0; }

  void forward(const Context<S>& at) const {
    kernels::zbl(at.space(), at.edges(), zbl, at.energy());
  }

  void adjoint(const Context<S>& at) const {
    zbl_adjoint(at.space(), at.edges(), zbl, at.seed(), at.adj_distance());
  }
};

} // namespace eqnn::kernels
