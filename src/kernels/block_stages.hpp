// SPDX-License-Identifier: BSD-3-Clause
// Stages that work on each node alone, block by block or component by component: linear maps per
// species, gate, RMS norm, polynomials, products of functions on the sphere; and the screened
// repulsion of pairs. Each beside its adjoint. Formulas: docs/spec/model_file.md.
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

// ---- functions on the sphere: components <-> values at points ----

template <class S> struct DeviceTransform {
  std::int32_t n_components = 0, n_points = 0;
  std::int32_t l_max = 0, n_rings = 0, n_azimuth = 0; ///< n_rings 0: dense
  Array<S, typename S::Scalar> matrix; ///< dense [points, components], or the polar part
  Array<S, typename S::Scalar> azimuthal;
  Array<S, const std::int32_t> order;

  /// Scalars per channel of scratch for the series along the rings.
  KOKKOS_INLINE_FUNCTION std::int64_t series() const {
    return std::int64_t{n_rings} * (2 * l_max + 1);
  }
};

/// f[p, c] = values at the points of the function with components x[k, c], in the transform's order.
/// series: scratch.
template <class S> KOKKOS_INLINE_FUNCTION void to_points(const typename S::Team& team,
                                                         const DeviceTransform<S>& t,
                                                         int stride,
                                                         const typename S::Scalar* x,
                                                         typename S::Scalar* series,
                                                         typename S::Scalar* f) {
  using Scalar = typename S::Scalar;
  if (t.n_rings == 0) {
    multiply<false>(team,
                    t.n_points,
                    stride,
                    t.n_components,
                    Left<Scalar>{t.matrix.data(), t.n_components, 1},
                    row_major(x, stride),
                    f,
                    stride);
    return;
  }
  const int orders = 2 * t.l_max + 1;
  const Scalar* polar = t.matrix.data();
  for (int m = 0; m < orders; ++m) {
    const int degrees = t.l_max - (m < t.l_max ? t.l_max - m : m - t.l_max) + 1;
    multiply<false>(team,
                    t.n_rings,
                    stride,
                    degrees,
                    Left<Scalar>{polar, degrees, 1},
                    row_major(x, stride),
                    series + m * stride,
                    std::int64_t{orders} * stride);
    polar += t.n_rings * degrees;
    x += degrees * stride;
  }
  for (int ring = 0; ring < t.n_rings; ++ring) {
    multiply<false>(team,
                    t.n_azimuth,
                    stride,
                    orders,
                    Left<Scalar>{t.azimuthal.data(), orders, 1},
                    row_major(series + std::int64_t{ring} * orders * stride, stride),
                    f + std::int64_t{ring} * t.n_azimuth * stride,
                    stride);
  }
}

/// The transposed map: x[k, c] = or += sum over points.
template <bool Accumulate, class S>
KOKKOS_INLINE_FUNCTION void from_points(const typename S::Team& team,
                                        const DeviceTransform<S>& t,
                                        int stride,
                                        const typename S::Scalar* f,
                                        typename S::Scalar* series,
                                        typename S::Scalar* x) {
  using Scalar = typename S::Scalar;
  if (t.n_rings == 0) {
    multiply<Accumulate>(team,
                         t.n_components,
                         stride,
                         t.n_points,
                         Left<Scalar>{t.matrix.data(), 1, t.n_components},
                         row_major(f, stride),
                         x,
                         stride);
    return;
  }
  const int orders = 2 * t.l_max + 1;
  for (int ring = 0; ring < t.n_rings; ++ring) {
    multiply<false>(team,
                    orders,
                    stride,
                    t.n_azimuth,
                    Left<Scalar>{t.azimuthal.data(), 1, orders},
                    row_major(f + std::int64_t{ring} * t.n_azimuth * stride, stride),
                    series + std::int64_t{ring} * orders * stride,
                    stride);
  }
  const Scalar* polar = t.matrix.data();
  for (int m = 0; m < orders; ++m) {
    const int degrees = t.l_max - (m < t.l_max ? t.l_max - m : m - t.l_max) + 1;
    multiply<Accumulate>(team,
                         degrees,
                         stride,
                         t.n_rings,
                         Left<Scalar>{polar, 1, degrees},
                         row_major(series + m * stride, std::int64_t{orders} * stride),
                         x,
                         stride);
    polar += t.n_rings * degrees;
    x += degrees * stride;
  }
}

/// y[k, c] = x[order[k], c] times the scales of that component, where there are any.
template <class S>
KOKKOS_INLINE_FUNCTION void gather_scaled(const typename S::Team& team,
                                          const Array<S, const std::int32_t>& order,
                                          const Array<S, typename S::Scalar>& scale,
                                          int n_components,
                                          int stride,
                                          const typename S::Scalar* x,
                                          typename S::Scalar* y) {
  const bool has_scale = scale.extent(0) > 0;
  for_rows(team, n_components, [&](std::int64_t k) {
    const std::int64_t from = std::int64_t{order(k)} * stride;
    for_channels(team, stride, [&](int c) {
      y[k * stride + c] = has_scale ? x[from + c] * scale(from + c) : x[from + c];
    });
  });
  barrier(team);
}

/// y[order[k], c] = or += x[k, c] times the scales of that component.
template <class S>
KOKKOS_INLINE_FUNCTION void scatter_scaled(const typename S::Team& team,
                                           const Array<S, const std::int32_t>& order,
                                           const Array<S, typename S::Scalar>& scale,
                                           int n_components,
                                           int stride,
                                           const typename S::Scalar* x,
                                           typename S::Scalar* y,
                                           bool keep) {
  const bool has_scale = scale.extent(0) > 0;
  for_rows(team, n_components, [&](std::int64_t k) {
    const std::int64_t to = std::int64_t{order(k)} * stride;
    for_channels(team, stride, [&](int c) {
      const auto scaled = has_scale ? x[k * stride + c] * scale(to + c) : x[k * stride + c];
      y[to + c] = keep ? y[to + c] + scaled : scaled;
    });
  });
  barrier(team);
}

// ---- product of two functions on the sphere ----

/// value[k] += coefficient a[i] b[j]
template <class Scalar> struct DeviceTriple {
  std::int32_t i = 0, j = 0, k = 0;
  Scalar value = 0;
};

template <class S> struct DeviceSphereProduct {
  std::int32_t stride = 0;
  std::int32_t d_a = 0, d_b = 0, d_out = 0;
  bool is_sparse = true;
  /// [components, stride] each, one row a component; empty: ones. curl: no curl.
  Array<S, typename S::Scalar> scale_a, scale_b, scale_out, scale_curl;
  std::int32_t n_gaunt = 0, n_curl = 0;
  Array<S, const DeviceTriple<typename S::Scalar>> gaunt, curl;
  /// of_*.order is there in any case
  DeviceTransform<S> of_a, of_b, of_out, gradient_a[2], gradient_b[2];

  KOKKOS_INLINE_FUNCTION bool has_curl() const { return scale_curl.extent(0) > 0; }
};

/// The arrays that a product needs in scratch, forward and in reverse.
template <class S> struct SphereScratch {
  using Scalar = typename S::Scalar;
  Scalar *a, *b;         ///< scaled inputs [d, stride]
  Scalar *even, *odd;    ///< product and curl, or their adjoints [d_out, stride]
  Scalar *adj_a, *adj_b; ///< [d, stride]
  Scalar *f_a, *f_b, *f; ///< [points, stride]
  Scalar *g_a, *g_b;     ///< [2, points, stride]
  Scalar* series;

  static std::int64_t size(const DeviceSphereProduct<S>& p) {
    return p.stride * (std::int64_t{2} * (p.d_a + p.d_b + p.d_out) +
                       (p.has_curl() ? 7 : 3) * std::int64_t{p.of_out.n_points} +
                       std::max({p.of_a.series(), p.of_b.series(), p.of_out.series()}));
  }

  KOKKOS_INLINE_FUNCTION SphereScratch(const DeviceSphereProduct<S>& p, Scalar* data) {
    const std::int64_t s = p.stride;
    const std::int64_t points = s * p.of_out.n_points;
    a = data;
    b = a + s * p.d_a;
    even = b + s * p.d_b;
    odd = even + s * p.d_out;
    adj_a = odd + s * p.d_out;
    adj_b = adj_a + s * p.d_a;
    f_a = adj_b + s * p.d_b;
    f_b = f_a + points;
    f = f_b + points;
    g_a = f + points;
    g_b = g_a + (p.has_curl() ? 2 * points : 0);
    series = g_b + (p.has_curl() ? 2 * points : 0);
  }
};

/// y[k] += sum of value a[i] b[j] over the triples.
template <class S, class L, class Triples>
KOKKOS_FORCEINLINE_FUNCTION void sum_triples(const Triples& triples,
                                             int n,
                                             int stride,
                                             int c,
                                             const L&,
                                             const typename S::Scalar* a,
                                             const typename S::Scalar* b,
                                             typename S::Scalar* y) {
  typename L::Type product{};
  int i = -1;
  int j = -1;
  for (int t = 0; t < n; ++t) {
    const auto triple = triples(t);
    if (triple.i != i || triple.j != j) {
      i = triple.i;
      j = triple.j;
      product = L::load(a + i * stride + c) * L::load(b + j * stride + c);
    }
    L::add(y + triple.k * stride + c, triple.value * product);
  }
}

template <class S> void sphere_product(const typename S::Exec& space,
                                       std::int64_t n_nodes,
                                       const DeviceSphereProduct<S>& p,
                                       const Rows<typename S::Scalar>& in_a,
                                       const Rows<typename S::Scalar>& in_b,
                                       const Rows<typename S::Scalar>& out) {
  using Scalar = typename S::Scalar;
  using Team = typename S::Team;
  const std::int64_t size = SphereScratch<S>::size(p);
  Kokkos::parallel_for(
      "eqnn::sphere_product",
      team_policy<S>(space, n_nodes, Scratch<Team>::template bytes<Scalar>(size)),
      KOKKOS_LAMBDA(const Team& team) {
        const std::int64_t node = team.league_rank();
        const SphereScratch<S> at(p, Scratch<Team>(team).template take<Scalar>(size));
        const int s = p.stride;
        gather_scaled<S>(team, p.of_a.order, p.scale_a, p.d_a, s, in_a.row(node), at.a);
        gather_scaled<S>(team, p.of_b.order, p.scale_b, p.d_b, s, in_b.row(node), at.b);
        if (p.is_sparse) {
          for_rows(team, 1, [&](std::int64_t) {
            for_channels(team, 2 * p.d_out * s, [&](int c) { at.even[c] = 0; });
            for_lanes<Scalar>(team, s, [&](int c, auto lane) {
              sum_triples<S>(p.gaunt, p.n_gaunt, s, c, lane, at.a, at.b, at.even);
              sum_triples<S>(p.curl, p.n_curl, s, c, lane, at.a, at.b, at.odd);
            });
          });
          barrier(team);
        } else {
          const int n = p.of_out.n_points;
          to_points<S>(team, p.of_a, s, at.a, at.series, at.f_a);
          to_points<S>(team, p.of_b, s, at.b, at.series, at.f_b);
          for_rows(team, n, [&](std::int64_t q) {
            for_channels(
                team, s, [&](int c) { at.f[q * s + c] = at.f_a[q * s + c] * at.f_b[q * s + c]; });
          });
          barrier(team);
          from_points<false, S>(team, p.of_out, s, at.f, at.series, at.even);
          if (p.has_curl()) {
            const std::int64_t points = std::int64_t{n} * s;
            for (int tangent = 0; tangent < 2; ++tangent) {
              Scalar* const g_a = at.g_a + tangent * points;
              Scalar* const g_b = at.g_b + tangent * points;
              to_points<S>(team, p.gradient_a[tangent], s, at.a, at.series, g_a);
              to_points<S>(team, p.gradient_b[tangent], s, at.b, at.series, g_b);
            }
            for_rows(team, n, [&](std::int64_t q) {
              for_channels(team, s, [&](int c) {
                const std::int64_t k = q * s + c;
                at.f[k] = at.g_a[k] * at.g_b[points + k] - at.g_a[points + k] * at.g_b[k];
              });
            });
            barrier(team);
            from_points<false, S>(team, p.of_out, s, at.f, at.series, at.odd);
          }
        }
        scatter_scaled<S>(
            team, p.of_out.order, p.scale_out, p.d_out, s, at.even, out.row(node), false);
        if (p.has_curl()) {
          scatter_scaled<S>(
              team, p.of_out.order, p.scale_curl, p.d_out, s, at.odd, out.row(node), true);
        }
      });
}

/// Of the triples: adj_a[i] += value b[j] adj_y[k], adj_b[j] += value a[i] adj_y[k].
template <class S, class L, class Triples>
KOKKOS_FORCEINLINE_FUNCTION void sum_triples_adjoint(const Triples& triples,
                                                     int n,
                                                     int stride,
                                                     int c,
                                                     const L&,
                                                     const typename S::Scalar* a,
                                                     const typename S::Scalar* b,
                                                     const typename S::Scalar* adj_y,
                                                     typename S::Scalar* adj_a,
                                                     typename S::Scalar* adj_b) {
  for (int t = 0; t < n;) {
    const auto first = triples(t);
    typename L::Type sum{};
    for (; t < n && triples(t).i == first.i && triples(t).j == first.j; ++t) {
      sum += triples(t).value * L::load(adj_y + triples(t).k * stride + c);
    }
    L::add(adj_a + first.i * stride + c, sum * L::load(b + first.j * stride + c));
    L::add(adj_b + first.j * stride + c, sum * L::load(a + first.i * stride + c));
  }
}

template <class S> void sphere_product_adjoint(const typename S::Exec& space,
                                               std::int64_t n_nodes,
                                               const DeviceSphereProduct<S>& p,
                                               const Rows<typename S::Scalar>& in_a,
                                               const Rows<typename S::Scalar>& in_b,
                                               const Rows<typename S::Scalar>& adj_out,
                                               const Rows<typename S::Scalar>& adj_in_a,
                                               plan::Write write_a,
                                               const Rows<typename S::Scalar>& adj_in_b,
                                               plan::Write write_b) {
  using Scalar = typename S::Scalar;
  using Team = typename S::Team;
  const std::int64_t size = SphereScratch<S>::size(p);
  Kokkos::parallel_for(
      "eqnn::sphere_product_adjoint",
      team_policy<S>(space, n_nodes, Scratch<Team>::template bytes<Scalar>(size)),
      KOKKOS_LAMBDA(const Team& team) {
        const std::int64_t node = team.league_rank();
        const SphereScratch<S> at(p, Scratch<Team>(team).template take<Scalar>(size));
        const int s = p.stride;
        const Scalar* const adj_y = adj_out.row(node);
        gather_scaled<S>(team, p.of_a.order, p.scale_a, p.d_a, s, in_a.row(node), at.a);
        gather_scaled<S>(team, p.of_b.order, p.scale_b, p.d_b, s, in_b.row(node), at.b);
        gather_scaled<S>(team, p.of_out.order, p.scale_out, p.d_out, s, adj_y, at.even);
        if (p.has_curl()) {
          gather_scaled<S>(team, p.of_out.order, p.scale_curl, p.d_out, s, adj_y, at.odd);
        }
        if (p.is_sparse) {
          for_rows(team, 1, [&](std::int64_t) {
            for_channels(team, (p.d_a + p.d_b) * s, [&](int c) { at.adj_a[c] = 0; });
            for_lanes<Scalar>(team, s, [&](int c, auto lane) {
              sum_triples_adjoint<S>(
                  p.gaunt, p.n_gaunt, s, c, lane, at.a, at.b, at.even, at.adj_a, at.adj_b);
              sum_triples_adjoint<S>(
                  p.curl, p.n_curl, s, c, lane, at.a, at.b, at.odd, at.adj_a, at.adj_b);
            });
          });
          barrier(team);
        } else {
          const int n = p.of_out.n_points;
          to_points<S>(team, p.of_a, s, at.a, at.series, at.f_a);
          to_points<S>(team, p.of_b, s, at.b, at.series, at.f_b);
          to_points<S>(team, p.of_out, s, at.even, at.series, at.f);
          for_rows(team, n, [&](std::int64_t q) {
            for_channels(team, s, [&](int c) {
              const std::int64_t k = q * s + c;
              const Scalar value_a = at.f_a[k];
              at.f_a[k] = at.f[k] * at.f_b[k];
              at.f_b[k] = at.f[k] * value_a;
            });
          });
          barrier(team);
          from_points<false, S>(team, p.of_a, s, at.f_a, at.series, at.adj_a);
          from_points<false, S>(team, p.of_b, s, at.f_b, at.series, at.adj_b);
          if (p.has_curl()) {
            const std::int64_t points = std::int64_t{n} * s;
            for (int tangent = 0; tangent < 2; ++tangent) {
              Scalar* const g_a = at.g_a + tangent * points;
              Scalar* const g_b = at.g_b + tangent * points;
              to_points<S>(team, p.gradient_a[tangent], s, at.a, at.series, g_a);
              to_points<S>(team, p.gradient_b[tangent], s, at.b, at.series, g_b);
            }
            to_points<S>(team, p.of_out, s, at.odd, at.series, at.f);
            for_rows(team, n, [&](std::int64_t q) {
              for_channels(team, s, [&](int c) {
                const std::int64_t k = q * s + c;
                const Scalar adjoint = at.f[k];
                const Scalar a1 = at.g_a[k];
                const Scalar a2 = at.g_a[points + k];
                at.g_a[k] = adjoint * at.g_b[points + k];
                at.g_a[points + k] = -adjoint * at.g_b[k];
                at.g_b[points + k] = adjoint * a1;
                at.g_b[k] = -adjoint * a2;
              });
            });
            barrier(team);
            for (int tangent = 0; tangent < 2; ++tangent) {
              const Scalar* const g_a = at.g_a + tangent * points;
              const Scalar* const g_b = at.g_b + tangent * points;
              from_points<true, S>(team, p.gradient_a[tangent], s, g_a, at.series, at.adj_a);
              from_points<true, S>(team, p.gradient_b[tangent], s, g_b, at.series, at.adj_b);
            }
          }
        }
        scatter_scaled<S>(team,
                          p.of_a.order,
                          p.scale_a,
                          p.d_a,
                          s,
                          at.adj_a,
                          adj_in_a.row(node),
                          write_a == plan::Write::Add);
        scatter_scaled<S>(team,
                          p.of_b.order,
                          p.scale_b,
                          p.d_b,
                          s,
                          at.adj_b,
                          adj_in_b.row(node),
                          write_b == plan::Write::Add);
      });
}

// ---- powers of a function on the sphere ----

template <class S> struct DeviceSpherePower {
  std::int32_t stride = 0, d_in = 0, d_out = 0, n_orders = 0;
  DeviceTransform<S> of_in, of_out;
  /// [n_species, n_orders, d_out, stride], a row a component in the order of of_out
  Array<S, typename S::Scalar> weights;

  /// Scalars of scratch: components in and out, three functions, series.
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
        gather_scaled<S>(team, p.of_in.order, {}, p.d_in, s, in.row(node), x);
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

/// adj_f = sum over nu of nu f^(nu-1) h_nu, h_nu the values of the function weight_nu adj_out.
template <class S> void sphere_power_adjoint(const typename S::Exec& space,
                                             const DeviceEdges<S>& edges,
                                             const DeviceSpherePower<S>& p,
                                             const Rows<typename S::Scalar>& in,
                                             const Rows<typename S::Scalar>& adj_out,
                                             const Rows<typename S::Scalar>& adj_in,
                                             plan::Write write) {
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
        gather_scaled<S>(team, p.of_in.order, {}, p.d_in, s, in.row(node), x);
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
        scatter_scaled<S>(
            team, p.of_in.order, {}, p.d_in, s, x, adj_in.row(node), write == plan::Write::Add);
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
