// SPDX-License-Identifier: BSD-3-Clause
// Edge geometry: distances, spherical harmonics, edge matrices, and from their adjoints back to
// dE/d(edge vector). Formulas: docs/spec/conventions.md. The adjoint evaluates harmonics again,
// in double, with derivatives that the forward pass did not store.
#pragma once

#include "base/edge_list.hpp"
#include "base/irreps.hpp"
#include "kernels/tile_multiply.hpp"

#include <array>

namespace eqnn::kernels {

/// sqrt((2l+1) (2 - delta_m0) (l-m)!/(l+m)!) at l (l+1)/2 + m.
struct HarmonicsTable {
  double norm[(kMaxDegree + 1) * (kMaxDegree + 2) / 2];
};

inline HarmonicsTable harmonics_table() {
  HarmonicsTable table{};
  for (int l = 0; l <= kMaxDegree; ++l) {
    for (int m = 0; m <= l; ++m) {
      double square = (2.0 * l + 1.0) * (m == 0 ? 1.0 : 2.0);
      for (int k = l - m + 1; k <= l + m; ++k) {
        square /= k;
      }
      table.norm[l * (l + 1) / 2 + m] = std::sqrt(square);
    }
  }
  return table;
}

/// Calls use(lm, value, d/du, d/dv, d/dw) for each component, with (u, v, w) = (z, x, y)/r in
/// e3nn's axes. The derivatives are those of the polynomial in u, v, w; only their part along the
/// sphere is meaningful. No division by a coordinate: Q_l^m(w) and (u + iv)^m come from
/// recurrences.
template <class Use> KOKKOS_INLINE_FUNCTION void visit_harmonics(
    const HarmonicsTable& table, int l_max, double u, double v, double w, const Use& use) {
  double cosine = 1.0; // Re (u + iv)^m
  double sine = 0.0;
  double cosine_below = 0.0; // of m - 1
  double sine_below = 0.0;
  double leading = 1.0; // (2m - 1)!!
  for (int m = 0; m <= l_max; ++m) {
    double q = leading;
    double q_below = 0.0;
    double dq = 0.0; // dQ/dw
    double dq_below = 0.0;
    for (int l = m; l <= l_max; ++l) {
      const double norm = table.norm[l * (l + 1) / 2 + m];
      const int middle = l * l + l;
      use(middle + m,
          norm * q * cosine,
          norm * q * m * cosine_below,
          -norm * q * m * sine_below,
          norm * dq * cosine);
      if (m > 0) {
        use(middle - m,
            norm * q * sine,
            norm * q * m * sine_below,
            norm * q * m * cosine_below,
            norm * dq * sine);
      }
      const double inverse = 1.0 / (l + 1 - m);
      const double q_next = ((2 * l + 1) * w * q - (l + m) * q_below) * inverse;
      const double dq_next = ((2 * l + 1) * (q + w * dq) - (l + m) * dq_below) * inverse;
      q_below = q;
      dq_below = dq;
      q = q_next;
      dq = dq_next;
    }
    leading *= 2 * m + 1;
    cosine_below = cosine;
    sine_below = sine;
    cosine = u * cosine_below - v * sine_below;
    sine = u * sine_below + v * cosine_below;
  }
}

/// Computes distances [n_edges]. Returns the number of edges that are too short or not finite.
template <class S>
std::int64_t distances(const typename S::Exec& space, const DeviceEdges<S>& edges) {
  const auto vector = edges.vector;
  const auto distance = edges.distance;
  std::int64_t n_bad = 0;
  Kokkos::parallel_reduce(
      "eqnn::geometry::distances",
      typename S::Range(space, 0, edges.n_edges),
      KOKKOS_LAMBDA(std::int64_t e, std::int64_t& bad) {
        const double x = vector(3 * e);
        const double y = vector(3 * e + 1);
        const double z = vector(3 * e + 2);
        distance(e) = Kokkos::sqrt(x * x + y * y + z * z);
        bad += (distance(e) >= kShortestEdge && Kokkos::isfinite(distance(e))) ? 0 : 1;
      },
      n_bad);
  return n_bad;
}

inline constexpr std::int64_t kGeometryTile = 32;

/// gradient[3] += sum_lm adj[lm] dY_lm/d(edge vector) for an edge of this length.
template <class Scalar>
KOKKOS_INLINE_FUNCTION void add_harmonics_gradient(const HarmonicsTable& table,
                                                   int l_max,
                                                   double distance,
                                                   const double* x,
                                                   const Scalar* adj,
                                                   double* gradient) {
  const double inverse = 1.0 / distance;
  const double unit[3] = {x[0] * inverse, x[1] * inverse, x[2] * inverse};
  double slope[3] = {0.0, 0.0, 0.0};
  visit_harmonics(table,
                  l_max,
                  unit[2],
                  unit[0],
                  unit[1],
                  [&](int lm, double, double du, double dv, double dw) {
                    const auto adjoint = static_cast<double>(adj[lm]);
                    slope[0] += adjoint * dv;
                    slope[1] += adjoint * dw;
                    slope[2] += adjoint * du;
                  });
  const double radial = slope[0] * unit[0] + slope[1] * unit[1] + slope[2] * unit[2];
  for (int a = 0; a < 3; ++a) {
    gradient[a] += (slope[a] - radial * unit[a]) * inverse;
  }
}

/// Layout of an edge's row of harmonics: degrees up to l_max, then zeros up to the stride.
struct HarmonicsLayout {
  int l_max = 0;
  int stride = 0;
};

/// harmonics[e, lm] = Y_lm(e), [n_edges, stride], zero beyond the components.
template <class S> void edge_harmonics(const typename S::Exec& space,
                                       const DeviceEdges<S>& edges,
                                       const HarmonicsTable& table,
                                       const HarmonicsLayout& layout,
                                       const Array<S, typename S::Scalar>& harmonics) {
  using Scalar = typename S::Scalar;
  const int l_max = layout.l_max;
  const int stride = layout.stride;
  Kokkos::parallel_for(
      "eqnn::geometry::harmonics",
      typename S::Range(space, 0, edges.n_edges),
      KOKKOS_LAMBDA(std::int64_t e) {
        const double inverse = 1.0 / edges.distance(e);
        const double* const x = &edges.vector(3 * e);
        Scalar* const y = harmonics.data() + e * stride;
        visit_harmonics(table,
                        l_max,
                        x[2] * inverse,
                        x[0] * inverse,
                        x[1] * inverse,
                        [&](int lm, double value, double, double, double) {
                          y[lm] = static_cast<Scalar>(value);
                        });
        for (int k = (l_max + 1) * (l_max + 1); k < stride; ++k) {
          y[k] = 0;
        }
      });
}

/// gradient[e] += sum_lm adj[e, lm] dY_lm/d(edge vector)
template <class S> void edge_harmonics_adjoint(const typename S::Exec& space,
                                               const DeviceEdges<S>& edges,
                                               const HarmonicsTable& table,
                                               const HarmonicsLayout& layout,
                                               const Array<S, typename S::Scalar>& adj_harmonics,
                                               const Array<S, double>& gradient) {
  const int l_max = layout.l_max;
  const int stride = layout.stride;
  Kokkos::parallel_for(
      "eqnn::geometry::harmonics_adjoint",
      typename S::Range(space, 0, edges.n_edges),
      KOKKOS_LAMBDA(std::int64_t e) {
        add_harmonics_gradient(table,
                               l_max,
                               edges.distance(e),
                               &edges.vector(3 * e),
                               adj_harmonics.data() + e * stride,
                               &gradient(3 * e));
      });
}

/// Two unit vectors tangent to the sphere at a direction. Smooth except for a seam at z = 0, and
/// defined everywhere. Duff et al., Building an Orthonormal Basis, Revisited, JCGT 6 (2017) 1.
struct Tangents {
  double first[3], second[3];
};

KOKKOS_INLINE_FUNCTION Tangents tangents_at(double x, double y, double z) {
  const double sign = z < 0.0 ? -1.0 : 1.0;
  const double p = -1.0 / (sign + z);
  const double q = x * y * p;
  return {{1.0 + sign * x * x * p, sign * q, -sign * x}, {q, sign + y * y * p, -y}};
}

/// dY_lm/d(edge vector) along both tangents, [n_edges, 2, stride], zero beyond the components.
template <class S> void edge_tangents(const typename S::Exec& space,
                                      const DeviceEdges<S>& edges,
                                      const HarmonicsTable& table,
                                      const HarmonicsLayout& layout,
                                      const Array<S, typename S::Scalar>& slopes) {
  using Scalar = typename S::Scalar;
  const int l_max = layout.l_max;
  const int stride = layout.stride;
  Kokkos::parallel_for(
      "eqnn::geometry::tangents",
      typename S::Range(space, 0, edges.n_edges),
      KOKKOS_LAMBDA(std::int64_t e) {
        const double inverse = 1.0 / edges.distance(e);
        const double* const r = &edges.vector(3 * e);
        const double x = r[0] * inverse, y = r[1] * inverse, z = r[2] * inverse;
        const Tangents along = tangents_at(x, y, z);
        Scalar* const first = slopes.data() + 2 * e * stride;
        Scalar* const second = first + stride;
        visit_harmonics(
            table, l_max, z, x, y, [&](int lm, double, double dz, double dx, double dy) {
              const double* const a = along.first;
              const double* const b = along.second;
              first[lm] = static_cast<Scalar>((dx * a[0] + dy * a[1] + dz * a[2]) * inverse);
              second[lm] = static_cast<Scalar>((dx * b[0] + dy * b[1] + dz * b[2]) * inverse);
            });
        for (int k = (l_max + 1) * (l_max + 1); k < stride; ++k) {
          first[k] = 0;
          second[k] = 0;
        }
      });
}

/// gradient[e] += adj[e, 0] first tangent + adj[e, 1] second tangent
template <class S> void edge_tangents_adjoint(const typename S::Exec& space,
                                              const DeviceEdges<S>& edges,
                                              const Array<S, typename S::Accum>& adj,
                                              const Array<S, double>& gradient) {
  Kokkos::parallel_for(
      "eqnn::geometry::tangents_adjoint",
      typename S::Range(space, 0, edges.n_edges),
      KOKKOS_LAMBDA(std::int64_t e) {
        const double inverse = 1.0 / edges.distance(e);
        const double* const r = &edges.vector(3 * e);
        const Tangents along = tangents_at(r[0] * inverse, r[1] * inverse, r[2] * inverse);
        for (int a = 0; a < 3; ++a) {
          gradient(3 * e + a) += static_cast<double>(adj(2 * e)) * along.first[a] +
                                 static_cast<double>(adj(2 * e + 1)) * along.second[a];
        }
      });
}

/// A coupling on the device, packed for both directions.
template <class S> struct DeviceCoupling {
  std::int32_t components = 0;
  Array<S, typename S::Scalar> forward; ///< [d; d^2]: j to (i, k), packed
  Array<S, typename S::Scalar> adjoint; ///< [d^2; d]: (i, k) to j, packed
};

/// matrix[e, i, k] = sum_j T[j][i][k] Y_j(e), [n_edges, d, d]
template <class S> void edge_matrices(const typename S::Exec& space,
                                      const DeviceEdges<S>& edges,
                                      const HarmonicsTable& table,
                                      const DeviceCoupling<S>& coupling,
                                      const Array<S, typename S::Scalar>& matrix) {
  using Scalar = typename S::Scalar;
  const int d = coupling.components;
  const int l_max = degree_of(d - 1);
  const int entries = d * d;
  const int padded_entries = (entries + kLanes<Scalar> - 1) / kLanes<Scalar> * kLanes<Scalar>;
  const std::size_t scratch_bytes =
      Scratch<typename S::Team>::template bytes<Scalar>(kGeometryTile * d) +
      Scratch<typename S::Team>::template bytes<Scalar>(kGeometryTile * padded_entries);
  Kokkos::parallel_for(
      "eqnn::geometry::edge_matrices",
      team_policy<S>(space, (edges.n_edges + kGeometryTile - 1) / kGeometryTile, scratch_bytes),
      KOKKOS_LAMBDA(const typename S::Team& team) {
        const std::int64_t first = team.league_rank() * kGeometryTile;
        const int n = static_cast<int>(
            first + kGeometryTile <= edges.n_edges ? kGeometryTile : edges.n_edges - first);
        const Scratch<typename S::Team> scratch(team);
        Scalar* const y = scratch.template take<Scalar>(kGeometryTile * d);
        Scalar* const out = scratch.template take<Scalar>(kGeometryTile * padded_entries);
        for_rows(team, n, [&](std::int64_t e) {
          once(team, [&]() {
            const double inverse = 1.0 / edges.distance(first + e);
            const double* const x = &edges.vector(3 * (first + e));
            visit_harmonics(table,
                            l_max,
                            x[2] * inverse,
                            x[0] * inverse,
                            x[1] * inverse,
                            [&](int lm, double value, double, double, double) {
                              y[e * d + lm] = static_cast<Scalar>(value);
                            });
          });
        });
        barrier(team);
        multiply<false>(team,
                        Extents{n, padded_entries, d},
                        Left<Scalar>{y, d, 1},
                        packed(coupling.forward.data(), d),
                        Target<Scalar>{out, padded_entries});
        for_rows(team, n, [&](std::int64_t e) {
          for_channels(team, entries, [&](int k) {
            matrix((first + e) * entries + k) = out[e * padded_entries + k];
          });
        });
      });
}

/// gradient[e] += sum_j (sum_ik T[j][i][k] adj_matrix[e, i, k]) dY_j/d(edge vector)
template <class S> void edge_matrices_adjoint(const typename S::Exec& space,
                                              const DeviceEdges<S>& edges,
                                              const HarmonicsTable& table,
                                              const DeviceCoupling<S>& coupling,
                                              const Array<S, typename S::Scalar>& adj_matrix,
                                              const Array<S, double>& gradient) {
  using Scalar = typename S::Scalar;
  const int d = coupling.components;
  const int l_max = degree_of(d - 1);
  const int padded_d = (d + kLanes<Scalar> - 1) / kLanes<Scalar> * kLanes<Scalar>;
  Kokkos::parallel_for(
      "eqnn::geometry::edge_matrices_adjoint",
      team_policy<S>(space,
                     (edges.n_edges + kGeometryTile - 1) / kGeometryTile,
                     Scratch<typename S::Team>::template bytes<Scalar>(kGeometryTile * padded_d)),
      KOKKOS_LAMBDA(const typename S::Team& team) {
        const std::int64_t first = team.league_rank() * kGeometryTile;
        const int n = static_cast<int>(
            first + kGeometryTile <= edges.n_edges ? kGeometryTile : edges.n_edges - first);
        const Scratch<typename S::Team> scratch(team);
        Scalar* const adj_y = scratch.template take<Scalar>(kGeometryTile * padded_d);
        multiply<false>(team,
                        Extents{n, padded_d, d * d},
                        Left<Scalar>{adj_matrix.data() + first * d * d, d * d, 1},
                        packed(coupling.adjoint.data(), d * d),
                        Target<Scalar>{adj_y, padded_d});
        for_rows(team, n, [&](std::int64_t e) {
          once(team, [&]() {
            add_harmonics_gradient(table,
                                   l_max,
                                   edges.distance(first + e),
                                   &edges.vector(3 * (first + e)),
                                   adj_y + e * padded_d,
                                   &gradient(3 * (first + e)));
          });
        });
      });
}

/// gradient[e] = adj_distance[e] * (edge vector)/r. This starts the sum; the other adjoints of this
/// file add to it.
template <class S> void distances_adjoint(const typename S::Exec& space,
                                          const DeviceEdges<S>& edges,
                                          const Array<S, typename S::Accum>& adj_distance,
                                          const Array<S, double>& gradient) {
  Kokkos::parallel_for(
      "eqnn::geometry::distances_adjoint",
      typename S::Range(space, 0, edges.n_edges),
      KOKKOS_LAMBDA(std::int64_t e) {
        const double scale = static_cast<double>(adj_distance(e)) / edges.distance(e);
        for (int a = 0; a < 3; ++a) {
          gradient(3 * e + a) = scale * edges.vector(3 * e + a);
        }
      });
}

} // namespace eqnn::kernels
