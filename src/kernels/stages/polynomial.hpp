// SPDX-License-Identifier: BSD-3-Clause
// A polynomial of the components, channel by channel.
#pragma once

#include "kernels/context.hpp"
#include "plan/stages/polynomial.hpp"

namespace eqnn::kernels {

/// A monomial of the tree, with scratch slots for products that children use.
struct DeviceMonomial {
  std::int32_t parent = -1; ///< slot of the parent's product; -1: none
  std::int32_t own = -1;    ///< slot of its own product if it has children, else -1
  std::int32_t component = 0;
  std::int32_t first_term = 0, n_terms = 0;
};

template <class S> struct DevicePolynomial {
  std::int32_t n_monomials = 0, n_slots = 0, n_terms = 0, stride = 0;
  Array<S, const DeviceMonomial> monomials;
  Array<S, const std::int32_t> target;       ///< [n_terms] scalars into the output's row
  Array<S, typename S::Scalar> coefficients; ///< [n_species, n_terms, stride]
};

template <class S> void polynomial(const typename S::Exec& space,
                                   const DeviceEdges<S>& edges,
                                   const DevicePolynomial<S>& p,
                                   const Rows<typename S::Scalar>& in,
                                   const Rows<typename S::Scalar>& out) {
  using Scalar = typename S::Scalar;
  using Team = typename S::Team;
  const std::int64_t n_scratch = std::int64_t{p.n_slots} * p.stride;
  Kokkos::parallel_for(
      "eqnn::polynomial",
      team_policy<S>(space, edges.n_centers, Scratch<Team>::template bytes<Scalar>(n_scratch)),
      KOKKOS_LAMBDA(const Team& team) {
        const std::int64_t node = team.league_rank();
        Scalar* const products = Scratch<Team>(team).template take<Scalar>(n_scratch);
        const Scalar* const x = in.row(node);
        Scalar* const y = out.row(node);
        const Scalar* const coefficients =
            p.coefficients.data() + std::int64_t{edges.species(node)} * p.n_terms * p.stride;
        for_rows(team, 1, [&](std::int64_t) {
          for_channels(team, out.width(), [&](int c) { y[c] = 0; });
          for_lanes<Scalar>(team, p.stride, [&](int c, auto lane) {
            using L = decltype(lane);
            for (int n = 0; n < p.n_monomials; ++n) {
              const DeviceMonomial monomial = p.monomials(n);
              typename L::Type product = L::load(x + monomial.component * in.stride + c);
              if (monomial.parent >= 0) {
                product *= L::load(products + L::slot(monomial.parent, c, p.stride));
              }
              if (monomial.own >= 0) {
                L::store(products + L::slot(monomial.own, c, p.stride), product);
              }
              for (int t = monomial.first_term; t < monomial.first_term + monomial.n_terms; ++t) {
                L::add(y + p.target(t) + c,
                       L::load(coefficients + std::int64_t{t} * p.stride + c) * product);
              }
            }
          });
        });
      });
}

/// Recomputes the products that children use, and clears their sums.
template <class L, class S>
KOKKOS_FORCEINLINE_FUNCTION void products_again(const DevicePolynomial<S>& p,
                                                int c,
                                                const typename S::Scalar* x,
                                                typename S::Scalar* products,
                                                typename S::Scalar* sums) {
  using V = typename L::Type;
  for (int n = 0; n < p.n_monomials; ++n) {
    const DeviceMonomial monomial = p.monomials(n);
    if (monomial.own >= 0) {
      V product = L::load(x + monomial.component * p.stride + c);
      if (monomial.parent >= 0) {
        product *= L::load(products + L::slot(monomial.parent, c, p.stride));
      }
      L::store(products + L::slot(monomial.own, c, p.stride), product);
      L::store(sums + L::slot(monomial.own, c, p.stride), V{});
    }
  }
}

/// In reverse order, with G = (sum of coefficients times adj_out) + (sum over children of G times the
/// child's component): adj_x[component] += parent's product times G.
template <class S> void polynomial_adjoint(const typename S::Exec& space,
                                           const DeviceEdges<S>& edges,
                                           const DevicePolynomial<S>& p,
                                           const AdjointRows<typename S::Scalar>& rows) {
  using Scalar = typename S::Scalar;
  using Team = typename S::Team;
  const bool keep = rows.keep();
  const Rows<Scalar> in = rows.in;
  const Rows<Scalar> adj_out = rows.adj_out;
  const Rows<Scalar> adj_in = rows.adj_in;
  const std::int64_t n_scratch = 2 * std::int64_t{p.n_slots} * p.stride;
  Kokkos::parallel_for(
      "eqnn::polynomial_adjoint",
      team_policy<S>(space, edges.n_centers, Scratch<Team>::template bytes<Scalar>(n_scratch)),
      KOKKOS_LAMBDA(const Team& team) {
        const std::int64_t node = team.league_rank();
        Scalar* const products = Scratch<Team>(team).template take<Scalar>(n_scratch);
        Scalar* const sums = products + std::int64_t{p.n_slots} * p.stride;
        const Scalar* const x = in.row(node);
        const Scalar* const adj_y = adj_out.row(node);
        Scalar* const adj_x = adj_in.row(node);
        const Scalar* const coefficients =
            p.coefficients.data() + std::int64_t{edges.species(node)} * p.n_terms * p.stride;
        for_rows(team, 1, [&](std::int64_t) {
          if (!keep) {
            for_channels(team, adj_in.width(), [&](int c) { adj_x[c] = 0; });
          }
          for_lanes<Scalar>(team, p.stride, [&](int c, auto lane) {
            using L = decltype(lane);
            using V = typename L::Type;
            products_again<L>(p, c, x, products, sums);
            for (int n = p.n_monomials - 1; n >= 0; --n) {
              const DeviceMonomial monomial = p.monomials(n);
              V g{};
              if (monomial.own >= 0) {
                g = L::load(sums + L::slot(monomial.own, c, p.stride));
              }
              for (int t = monomial.first_term; t < monomial.first_term + monomial.n_terms; ++t) {
                g += L::load(coefficients + std::int64_t{t} * p.stride + c) *
                     L::load(adj_y + p.target(t) + c);
              }
              const int component = monomial.component * in.stride + c;
              if (monomial.parent >= 0) {
                L::add(sums + L::slot(monomial.parent, c, p.stride), g * L::load(x + component));
                g *= L::load(products + L::slot(monomial.parent, c, p.stride));
              }
              L::add(adj_x + component, g);
            }
          });
        });
      });
}

template <class S> struct PolynomialStage {
  using Scalar = typename S::Scalar;

  plan::Polynomial op;
  DevicePolynomial<S> polynomial;

  PolynomialStage(plan::Polynomial host, DeviceTables<S>& tables)
      : op(std::move(host)) {
    DevicePolynomial<S>& p = polynomial;
    const std::int32_t channels = tables.block(op.in.value, 0).channels;
    p.stride = DeviceTables<S>::stride_of(tables.block(op.in.value, 0));
    std::vector<DeviceMonomial> monomials;
    for (const plan::Monomial& m : op.monomials) {
      DeviceMonomial monomial{-1, -1, m.component, m.first_term, m.n_terms};
      if (m.parent >= 0) {
        monomial.parent = monomials[static_cast<std::size_t>(m.parent)].own;
      }
      if (m.has_children) {
        monomial.own = p.n_slots++;
      }
      monomials.push_back(monomial);
    }
    std::vector<std::int32_t> target;
    target.reserve(op.target.size());
    for (const std::int32_t component : op.target) {
      target.push_back(tables.component_of(op.out, component));
    }
    p.n_monomials = static_cast<std::int32_t>(monomials.size());
    p.n_terms = static_cast<std::int32_t>(target.size());
    p.monomials = tables.template array<DeviceMonomial>("eqnn::monomials", monomials);
    p.target = tables.template array<std::int32_t>("eqnn::polynomial_targets", target);
    p.coefficients = tables.template array<Scalar>(
        "eqnn::polynomial_coefficients", DeviceTables<S>::pad_rows(op.coefficients, channels));
    release(op.coefficients);
  }

  std::int32_t message_width(const DeviceTables<S>&) const { return 0; }

  void forward(const Context<S>& at) const {
    kernels::polynomial(at.space(), at.edges(), polynomial, at.value(op.in), at.value(op.out));
  }

  void adjoint(const Context<S>& at) const {
    polynomial_adjoint(at.space(), at.edges(), polynomial, at.adjoint_rows(op.in, op.out));
  }
};

} // namespace eqnn::kernels
