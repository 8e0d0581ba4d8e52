// SPDX-License-Identifier: BSD-3-Clause
// Stages that work on each node alone, block by block or component by component: linear maps per
// species, gate, RMS norm, polynomials; and the screened repulsion of pairs. Each beside its adjoint.
// Formulas: docs/spec/model_file.md.
#pragma once

#include "kernels/node_stages.hpp"

namespace eqnn::kernels {

/// The rows of one block of a value.
template <class Scalar> KOKKOS_INLINE_FUNCTION Rows<Scalar> block_rows(const Rows<Scalar>& value,
                                                                       std::int32_t first,
                                                                       std::int32_t components,
                                                                       std::int32_t channels,
                                                                       std::int32_t stride) {
  return {value.data + first, components, channels, stride, value.pitch};
}

/// Zeros in a block.
template <class S> void clear_block(const typename S::Exec& space,
                                    std::int64_t n_nodes,
                                    const Rows<typename S::Scalar>& x) {
  for_node_tiles<S>(
      space,
      "eqnn::clear_block",
      n_nodes,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        for_rows(team, n, [&](std::int64_t r) {
          auto* const row = x.row(first + r);
          for_channels(team, x.extent(), [&](int c) { row[c] = 0; });
        });
      });
}

/// out = or += in: rows of a block.
template <class S> void add_block(const typename S::Exec& space,
                                  std::int64_t n_nodes,
                                  const Rows<typename S::Scalar>& in,
                                  const Rows<typename S::Scalar>& out,
                                  plan::Write write) {
  const bool keep = write == plan::Write::Add;
  for_node_tiles<S>(
      space,
      "eqnn::add_block",
      n_nodes,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        for_rows(team, n, [&](std::int64_t r) {
          for (int k = 0; k < out.components; ++k) {
            const auto* const x = in.row(first + r) + k * in.stride;
            auto* const y = out.row(first + r) + k * out.stride;
            const int both = in.stride < out.stride ? in.stride : out.stride;
            for_channels(team, both, [&](int c) { y[c] = keep ? y[c] + x[c] : x[c]; });
            if (!keep) {
              for_channels(team, out.stride - both, [&](int c) { y[both + c] = 0; });
            }
          }
        });
      });
}

// ---- linear map of a block with the matrix of the node's species: out = W_z in ----

/// weight: packed matrices [n_species], each of `size` scalars. out is overwritten, or added to.
template <class S> void species_linear(const typename S::Exec& space,
                                       const char* label,
                                       const DeviceEdges<S>& edges,
                                       const Array<S, typename S::Scalar>& weight,
                                       std::int64_t size,
                                       const Rows<typename S::Scalar>& in,
                                       const Rows<typename S::Scalar>& out,
                                       plan::Write write) {
  for_node_tiles<S>(
      space,
      label,
      edges.n_centers,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        // Neighbours in memory of one species go together.
        for (int r = 0; r < n;) {
          const std::int32_t species = edges.species(first + r);
          int end = r + 1;
          while (end < n && edges.species(first + end) == species) {
            ++end;
          }
          const auto* const w = weight.data() + species * size;
          if (write == plan::Write::Add) {
            mix_channels<true, S>(team,
                                  end - r,
                                  out.components,
                                  in.row(first + r),
                                  in.width(),
                                  in.stride,
                                  w,
                                  out.row(first + r),
                                  out.width(),
                                  out.stride);
          } else {
            mix_channels<false, S>(team,
                                   end - r,
                                   out.components,
                                   in.row(first + r),
                                   in.width(),
                                   in.stride,
                                   w,
                                   out.row(first + r),
                                   out.width(),
                                   out.stride);
          }
          r = end;
        }
      });
}

// ---- gate: y = f(x), or y = x f(gate) ----

template <class T> KOKKOS_FORCEINLINE_FUNCTION T activate(std::int32_t function, T x) {
  const T s = sigmoid(function == plan::kTanh ? T(2) * x : x);
  switch (function) {
  case plan::kSilu:
    return x * s;
  case plan::kTanh:
    return T(2) * s - T(1);
  case plan::kSigmoid:
    return s;
  default:
    return x;
  }
}

template <class T> KOKKOS_FORCEINLINE_FUNCTION T activation_slope(std::int32_t function, T x) {
  const T s = sigmoid(function == plan::kTanh ? T(2) * x : x);
  switch (function) {
  case plan::kSilu:
    return silu_derivative(x, s);
  case plan::kTanh:
    return T(4) * s * (T(1) - s);
  case plan::kSigmoid:
    return s * (T(1) - s);
  default:
    return T(1);
  }
}

/// What one call gates: rows of a block, and the channels that gate them (none: scalars).
template <class Scalar> struct GateRows {
  Rows<Scalar> in, out;
  Rows<Scalar> gate; ///< data at the first channel; null: none
  std::int32_t channels = 0;
  std::int32_t function = 0;
};

template <class S> void block_gate(const typename S::Exec& space,
                                   std::int64_t n_nodes,
                                   const GateRows<typename S::Scalar>& rows) {
  using Scalar = typename S::Scalar;
  const bool is_scalar = rows.gate.data == nullptr;
  for_node_tiles<S>(
      space,
      "eqnn::block_gate",
      n_nodes,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        for_rows(team, n, [&](std::int64_t r) {
          const Scalar* const g = is_scalar ? rows.in.row(first + r) : rows.gate.row(first + r);
          for (int m = 0; m < rows.out.components; ++m) {
            const Scalar* const x = rows.in.row(first + r) + m * rows.in.stride;
            Scalar* const y = rows.out.row(first + r) + m * rows.out.stride;
            for_channels(team, rows.channels, [&](int c) {
              y[c] = activate(rows.function, g[c]) * (is_scalar ? Scalar(1) : x[c]);
            });
            for_channels(
                team, rows.out.stride - rows.channels, [&](int c) { y[rows.channels + c] = 0; });
          }
        });
      });
}

/// adj_in and adj_gate are added to.
template <class S> void block_gate_adjoint(const typename S::Exec& space,
                                           std::int64_t n_nodes,
                                           const GateRows<typename S::Scalar>& rows,
                                           const Rows<typename S::Scalar>& adj_out,
                                           const Rows<typename S::Scalar>& adj_in,
                                           const Rows<typename S::Scalar>& adj_gate) {
  using Scalar = typename S::Scalar;
  const bool is_scalar = rows.gate.data == nullptr;
  for_node_tiles<S>(
      space,
      "eqnn::block_gate_adjoint",
      n_nodes,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        for_rows(team, n, [&](std::int64_t r) {
          const Scalar* const x = rows.in.row(first + r);
          const Scalar* const adj_y = adj_out.row(first + r);
          Scalar* const adj_x = adj_in.row(first + r);
          if (is_scalar) {
            for_channels(team, rows.channels, [&](int c) {
              adj_x[c] += adj_y[c] * activation_slope(rows.function, x[c]);
            });
            return;
          }
          const Scalar* const g = rows.gate.row(first + r);
          Scalar* const adj_g = adj_gate.row(first + r);
          for_channels(team, rows.channels, [&](int c) {
            const Scalar opening = activate(rows.function, g[c]);
            Scalar along = 0;
            for (int m = 0; m < rows.out.components; ++m) {
              const Scalar adjoint = adj_y[m * rows.out.stride + c];
              along += adjoint * x[m * rows.in.stride + c];
              adj_x[m * rows.in.stride + c] += adjoint * opening;
            }
            adj_g[c] += along * activation_slope(rows.function, g[c]);
          });
        });
      });
}

// ---- RMS norm: y = x W / sqrt(mean over blocks of mean x^2 + eps) ----

/// A block within a row, and one over what its squares are divided by.
struct NormBlock {
  std::int32_t first = 0, components = 0, channels = 0, stride = 0;
  std::int32_t scale = 0; ///< where its scales begin
  double share = 0.0;
};

template <class S> struct DeviceRmsNorm {
  std::int32_t n_blocks = 0;
  double eps = 0.0;
  Array<S, const NormBlock> blocks;
  Array<S, typename S::Scalar> scale;
};

/// One over the root mean square of a row.
template <class S>
KOKKOS_INLINE_FUNCTION typename S::Accum inverse_rms(const typename S::Team& team,
                                                     const DeviceRmsNorm<S>& norm,
                                                     const typename S::Scalar* x) {
  using Accum = typename S::Accum;
  auto mean = static_cast<Accum>(norm.eps);
  for (int b = 0; b < norm.n_blocks; ++b) {
    const NormBlock block = norm.blocks(b);
    Accum square = 0;
    for (int m = 0; m < block.components; ++m) {
      const auto* const row = x + block.first + m * block.stride;
      square += sum_channels<Accum>(team, 0, block.channels, [&](int c) {
        return static_cast<Accum>(row[c]) * static_cast<Accum>(row[c]);
      });
    }
    mean += square * static_cast<Accum>(block.share);
  }
  return Accum(1) / Kokkos::sqrt(mean);
}

template <class S> void rms_norm(const typename S::Exec& space,
                                 std::int64_t n_nodes,
                                 const DeviceRmsNorm<S>& norm,
                                 const Rows<typename S::Scalar>& in,
                                 const Rows<typename S::Scalar>& out) {
  using Scalar = typename S::Scalar;
  for_node_tiles<S>(
      space,
      "eqnn::rms_norm",
      n_nodes,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        for_rows(team, n, [&](std::int64_t r) {
          const Scalar* const x = in.row(first + r);
          const auto inverse = static_cast<Scalar>(inverse_rms(team, norm, x));
          for (int b = 0; b < norm.n_blocks; ++b) {
            const NormBlock block = norm.blocks(b);
            const Scalar* const scale = norm.scale.data() + block.scale;
            for (int m = 0; m < block.components; ++m) {
              const Scalar* const row = x + block.first + m * block.stride;
              Scalar* const y = out.row(first + r) + block.first + m * block.stride;
              for_channels(team, block.stride, [&](int c) { y[c] = row[c] * scale[c] * inverse; });
            }
          }
        });
      });
}

/// adj_x = or += n (q - n^2 share x sum q x), with q = adj_y W and n one over the root mean square.
template <class S> void rms_norm_adjoint(const typename S::Exec& space,
                                         std::int64_t n_nodes,
                                         const DeviceRmsNorm<S>& norm,
                                         const Rows<typename S::Scalar>& in,
                                         const Rows<typename S::Scalar>& adj_out,
                                         const Rows<typename S::Scalar>& adj_in,
                                         plan::Write write) {
  using Scalar = typename S::Scalar;
  using Accum = typename S::Accum;
  const bool keep = write == plan::Write::Add;
  for_node_tiles<S>(
      space,
      "eqnn::rms_norm_adjoint",
      n_nodes,
      0,
      KOKKOS_LAMBDA(const typename S::Team& team, std::int64_t first, int n) {
        for_rows(team, n, [&](std::int64_t r) {
          const Scalar* const x = in.row(first + r);
          const Scalar* const adj_y = adj_out.row(first + r);
          const Accum inverse = inverse_rms(team, norm, x);
          Accum projection = 0;
          for (int b = 0; b < norm.n_blocks; ++b) {
            const NormBlock block = norm.blocks(b);
            const Scalar* const scale = norm.scale.data() + block.scale;
            for (int m = 0; m < block.components; ++m) {
              const int begin = block.first + m * block.stride;
              projection += sum_channels<Accum>(team, 0, block.channels, [&](int c) {
                return static_cast<Accum>(adj_y[begin + c] * scale[c]) *
                       static_cast<Accum>(x[begin + c]);
              });
            }
          }
          for (int b = 0; b < norm.n_blocks; ++b) {
            const NormBlock block = norm.blocks(b);
            const Scalar* const scale = norm.scale.data() + block.scale;
            const auto along = static_cast<Scalar>(inverse * inverse * inverse * projection *
                                                   static_cast<Accum>(block.share));
            for (int m = 0; m < block.components; ++m) {
              const int begin = block.first + m * block.stride;
              Scalar* const adj_x = adj_in.row(first + r) + begin;
              for_channels(team, block.stride, [&](int c) {
                const Scalar adjoint = static_cast<Scalar>(inverse) * adj_y[begin + c] * scale[c] -
                                       along * x[begin + c];
                adj_x[c] = keep ? adj_x[c] + adjoint : adjoint;
              });
            }
          }
        });
      });
}

// ---- polynomial, channel by channel ----

/// Monomials of the tree with indices of scratch: of products that children use.
struct DeviceMonomial {
  std::int32_t parent = -1; ///< slot of the parent's product; -1: none
  std::int32_t own = -1;    ///< slot of its own product, where it has children
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

/// In reverse order, with G = (sum of coefficients times adj_out) + (sum over children of G times the
/// child's component): adj_x[component] += parent's product times G.
template <class S> void polynomial_adjoint(const typename S::Exec& space,
                                           const DeviceEdges<S>& edges,
                                           const DevicePolynomial<S>& p,
                                           const Rows<typename S::Scalar>& in,
                                           const Rows<typename S::Scalar>& adj_out,
                                           const Rows<typename S::Scalar>& adj_in,
                                           plan::Write write) {
  using Scalar = typename S::Scalar;
  using Team = typename S::Team;
  const bool keep = write == plan::Write::Add;
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
            for (int n = 0; n < p.n_monomials; ++n) {
              const DeviceMonomial monomial = p.monomials(n);
              if (monomial.own >= 0) {
                V product = L::load(x + monomial.component * in.stride + c);
                if (monomial.parent >= 0) {
                  product *= L::load(products + L::slot(monomial.parent, c, p.stride));
                }
                L::store(products + L::slot(monomial.own, c, p.stride), product);
                L::store(sums + L::slot(monomial.own, c, p.stride), V{});
              }
            }
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

// ---- screened repulsion ----

template <class S> struct DeviceRepulsion {
  std::int32_t n_species = 0, n_terms = 0;
  double p = 0.0;
  Array<S, double> prefactor, range, exponents, coefficients;
};

/// Energy of one directed edge and its slope.
template <class S> KOKKOS_INLINE_FUNCTION void pair_energy(
    const DeviceRepulsion<S>& q, std::int32_t pair, double r, double& value, double& slope) {
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

/// energy [n_centers] is added to.
template <class S> void repulsion(const typename S::Exec& space,
                                  const DeviceEdges<S>& edges,
                                  const DeviceRepulsion<S>& q,
                                  const Array<S, double>& energy) {
  Kokkos::parallel_for(
      "eqnn::repulsion",
      typename S::Range(space, 0, edges.n_centers),
      KOKKOS_LAMBDA(std::int64_t i) {
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

/// adj_distance [n_edges] is added to.
template <class S> void repulsion_adjoint(const typename S::Exec& space,
                                          const DeviceEdges<S>& edges,
                                          const DeviceRepulsion<S>& q,
                                          const Array<S, double>& seed,
                                          const Array<S, typename S::Accum>& adj_distance) {
  Kokkos::parallel_for(
      "eqnn::repulsion_adjoint",
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

} // namespace eqnn::kernels
