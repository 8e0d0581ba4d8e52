// SPDX-License-Identifier: BSD-3-Clause
#include "reference/irreps_stages.hpp"

#include "reference/scalar_functions.hpp"
#include "so3/coupling.hpp"
#include "so3/quadrature.hpp"
#include "so3/spherical_harmonics.hpp"

#include <algorithm>
#include <cmath>

namespace eqnn::reference {
namespace {

std::size_t at(std::int64_t k) { return static_cast<std::size_t>(k); }

const IrrepsBlock& block(const Irreps& irreps, std::int32_t b) { return irreps[at(b)]; }

std::int32_t species_of(const EdgeList& edges, std::int64_t node) {
  return edges.species[at(node)];
}

std::int32_t degree_of(std::int32_t component) {
  return static_cast<std::int32_t>(std::sqrt(static_cast<double>(component) + 0.5));
}

/// Calls use(centre, edge) for every edge.
template <class Use> void for_edges(const EdgeList& edges, const Use& use) {
  for (std::int32_t i = 0; i < edges.n_centers; ++i) {
    for (std::int64_t e = edges.begin[at(i)]; e < edges.begin[at(i) + 1]; ++e) {
      use(i, e);
    }
  }
}

} // namespace

Value features(std::int64_t rows, const Irreps& irreps) {
  std::int32_t widest = 0;
  for (const IrrepsBlock& b : irreps) {
    widest = std::max(widest, b.channels);
  }
  return {rows, component_count(irreps), widest};
}

namespace {

/// Calls use(component of the sum, component of x, channel).
template <class Use>
void for_shared_blocks(const Irreps& sum_irreps, const Irreps& x_irreps, const Use& use) {
  for (std::size_t b = 0; b < x_irreps.size(); ++b) {
    const std::int32_t to = first_component(sum_irreps, find_block(sum_irreps, x_irreps[b]));
    const std::int32_t from = first_component(x_irreps, static_cast<std::int32_t>(b));
    for (std::int32_t m = 0; m < x_irreps[b].components(); ++m) {
      for (std::int32_t c = 0; c < x_irreps[b].channels; ++c) {
        use(to + m, from + m, c);
      }
    }
  }
}

} // namespace

void add_blocks(Value& sum, const Irreps& sum_irreps, const Value& x, const Irreps& x_irreps) {
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for_shared_blocks(
        sum_irreps, x_irreps, [&](std::int32_t to, std::int32_t from, std::int32_t c) {
          sum.at(i, to, c) += x.at(i, from, c);
        });
  }
}

void take_blocks(Value& x, const Irreps& x_irreps, const Value& sum, const Irreps& sum_irreps) {
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for_shared_blocks(
        sum_irreps, x_irreps, [&](std::int32_t to, std::int32_t from, std::int32_t c) {
          x.at(i, from, c) += sum.at(i, to, c);
        });
  }
}

// ---- linear maps of blocks: out_b[m] = W_b in_b[m] ----

namespace {

/// Calls use(node, component of out, of in, channel of out, of in, weight).
template <class Use> void for_mixing(const IrrepsLinearStage& stage,
                                     const EdgeList& edges,
                                     const Irreps& in,
                                     const Irreps& out,
                                     const Use& use) {
  for (std::int64_t i = 0; i < edges.n_centers; ++i) {
    for (const BlockWeight& w : stage.blocks) {
      const std::int64_t n_out = block(out, w.out).channels;
      const std::int64_t n_in = block(in, w.in).channels;
      const std::int64_t begin = stage.per_species ? species_of(edges, i) * n_out * n_in : 0;
      for (std::int32_t m = 0; m < block(out, w.out).components(); ++m) {
        for (std::int32_t o = 0; o < n_out; ++o) {
          for (std::int32_t c = 0; c < n_in; ++c) {
            use(i,
                first_component(out, w.out) + m,
                first_component(in, w.in) + m,
                o,
                c,
                w.weight.values[at(begin + o * n_in + c)]);
          }
        }
      }
    }
  }
}

} // namespace

Value irreps_linear(const IrrepsLinearStage& stage,
                    const EdgeList& edges,
                    const Irreps& in,
                    const Irreps& out,
                    const Value& x) {
  Value y = features(edges.n_centers, out);
  for_mixing(stage,
             edges,
             in,
             out,
             [&](std::int64_t i,
                 std::int32_t to,
                 std::int32_t from,
                 std::int32_t o,
                 std::int32_t c,
                 double weight) { y.at(i, to, o) += weight * x.at(i, from, c); });
  if (stage.bias) {
    for (std::int64_t i = 0; i < y.rows; ++i) {
      for (std::int32_t o = 0; o < out.front().channels; ++o) {
        y.at(i, 0, o) += stage.bias->values[at(o)];
      }
    }
  }
  return y;
}

void irreps_linear_adjoint(const IrrepsLinearStage& stage,
                           const EdgeList& edges,
                           const Irreps& in,
                           const Irreps& out,
                           const Value& adj_out,
                           Value& adj_x) {
  for_mixing(stage,
             edges,
             in,
             out,
             [&](std::int64_t i,
                 std::int32_t to,
                 std::int32_t from,
                 std::int32_t o,
                 std::int32_t c,
                 double weight) { adj_x.at(i, from, c) += weight * adj_out.at(i, to, o); });
}

// ---- edge tensor product: out_i[m3,c] = sum_e w_e[c] sum w3j[m1,m2,m3] source_j[m1,c] Y_m2 ----

namespace {

/// Calls use(component of the source, of the harmonics, of the output, w3j) for all non-zero
/// entries of a path.
template <class Use> void
for_coupling(const TensorProductPath& path, const Irreps& in, const Irreps& out, const Use& use) {
  const std::int32_t l1 = block(in, path.source).l;
  const std::int32_t l3 = block(out, path.out).l;
  const std::vector<double> w3j = so3::wigner_3j(l1, path.l, l3);
  std::size_t k = 0;
  for (std::int32_t m1 = 0; m1 < 2 * l1 + 1; ++m1) {
    for (std::int32_t m2 = 0; m2 < 2 * path.l + 1; ++m2) {
      for (std::int32_t m3 = 0; m3 < 2 * l3 + 1; ++m3, ++k) {
        if (w3j[k] != 0.0) {
          use(first_component(in, path.source) + m1,
              path.l * path.l + m2,
              first_component(out, path.out) + m3,
              w3j[k]);
        }
      }
    }
  }
}

} // namespace

Value edge_tensor_product(const EdgeTensorProductStage& stage,
                          const EdgeList& edges,
                          const Irreps& in,
                          const Irreps& out,
                          const Value& source,
                          const Value& harmonics,
                          const Value& radial) {
  Value y = features(edges.n_centers, out);
  for (const TensorProductPath& p : stage.paths) {
    for_coupling(
        p, in, out, [&](std::int32_t k1, std::int32_t k2, std::int32_t k3, double coefficient) {
          for_edges(edges, [&](std::int32_t i, std::int64_t e) {
            const double factor = coefficient * harmonics.at(e, k2, 0);
            for (std::int32_t c = 0; c < block(in, p.source).channels; ++c) {
              y.at(i, k3, p.channel + c) +=
                  factor * radial.at(e, 0, p.radial + c) * source.at(edges.source[at(e)], k1, c);
            }
          });
        });
  }
  return y;
}

void edge_tensor_product_adjoint(const EdgeTensorProductStage& stage,
                                 const EdgeList& edges,
                                 const Irreps& in,
                                 const Irreps& out,
                                 const Value& source,
                                 const Value& harmonics,
                                 const Value& radial,
                                 const Value& adj_out,
                                 Value& adj_source,
                                 Value& adj_harmonics,
                                 Value& adj_radial) {
  for (const TensorProductPath& p : stage.paths) {
    for_coupling(
        p, in, out, [&](std::int32_t k1, std::int32_t k2, std::int32_t k3, double coefficient) {
          for_edges(edges, [&](std::int32_t i, std::int64_t e) {
            const std::int32_t j = edges.source[at(e)];
            const double y = harmonics.at(e, k2, 0);
            for (std::int32_t c = 0; c < block(in, p.source).channels; ++c) {
              const double adjoint = coefficient * adj_out.at(i, k3, p.channel + c);
              const double w = radial.at(e, 0, p.radial + c);
              const double x = source.at(j, k1, c);
              adj_source.at(j, k1, c) += adjoint * w * y;
              adj_harmonics.at(e, k2, 0) += adjoint * w * x;
              adj_radial.at(e, 0, p.radial + c) += adjoint * y * x;
            }
          });
        });
  }
}

// ---- gate ----

namespace {

/// Calls scalar(component, channel, function) for scalars that pass, and
/// gated(component of out, of in, channel, component and channel of the gate) for the rest.
template <class Scalar, class Gated> void for_gates(const IrrepsGateStage& stage,
                                                    const Irreps& in,
                                                    const Irreps& out,
                                                    const Scalar& scalar,
                                                    const Gated& gated) {
  for (const bool odd : {false, true}) {
    const std::int32_t n = odd ? stage.odd_scalars : stage.even_scalars;
    if (n > 0) {
      const std::int32_t to = first_component(out, find_block(out, {0, odd, 0}));
      const std::int32_t from = first_component(in, find_block(in, {0, odd, 0}));
      for (std::int32_t c = 0; c < n; ++c) {
        scalar(to, from, c, odd ? stage.odd_activation : stage.even_activation);
      }
    }
  }
  std::int32_t gate = stage.odd_gates ? stage.odd_scalars : stage.even_scalars;
  const std::int32_t gates = find_block(in, {0, stage.odd_gates, 0});
  for (std::size_t b = 0; b < in.size(); ++b) {
    if (in[b].l == 0) {
      continue;
    }
    const std::int32_t to = find_block(out, {in[b].l, in[b].odd != stage.odd_gates, 0});
    for (std::int32_t c = 0; c < in[b].channels; ++c, ++gate) {
      for (std::int32_t m = 0; m < in[b].components(); ++m) {
        gated(first_component(out, to) + m,
              first_component(in, static_cast<std::int32_t>(b)) + m,
              c,
              first_component(in, gates),
              gate);
      }
    }
  }
}

} // namespace

Value irreps_gate(const IrrepsGateStage& stage,
                  const Irreps& in,
                  const Irreps& out,
                  const Value& x) {
  Value y = features(x.rows, out);
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for_gates(
        stage,
        in,
        out,
        [&](std::int32_t to, std::int32_t from, std::int32_t c, Activation function) {
          y.at(i, to, c) = activate(function, x.at(i, from, c));
        },
        [&](std::int32_t to, std::int32_t from, std::int32_t c, std::int32_t k, std::int32_t g) {
          y.at(i, to, c) = x.at(i, from, c) * activate(stage.gate_activation, x.at(i, k, g));
        });
  }
  return y;
}

void irreps_gate_adjoint(const IrrepsGateStage& stage,
                         const Irreps& in,
                         const Irreps& out,
                         const Value& x,
                         const Value& adj_out,
                         Value& adj_x) {
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for_gates(
        stage,
        in,
        out,
        [&](std::int32_t to, std::int32_t from, std::int32_t c, Activation function) {
          adj_x.at(i, from, c) +=
              adj_out.at(i, to, c) * activation_derivative(function, x.at(i, from, c));
        },
        [&](std::int32_t to, std::int32_t from, std::int32_t c, std::int32_t k, std::int32_t g) {
          const double gate = x.at(i, k, g);
          adj_x.at(i, from, c) += adj_out.at(i, to, c) * activate(stage.gate_activation, gate);
          adj_x.at(i, k, g) += adj_out.at(i, to, c) * x.at(i, from, c) *
                               activation_derivative(stage.gate_activation, gate);
        });
  }
}

// ---- RMS norm: y = x W / sqrt(mean over blocks of mean x^2 + eps) ----

namespace {

/// Calls use(block, component, channel) for all entries of a node.
template <class Use> void for_entries(const Irreps& irreps, const Use& use) {
  for (std::size_t b = 0; b < irreps.size(); ++b) {
    const std::int32_t first = first_component(irreps, static_cast<std::int32_t>(b));
    for (std::int32_t m = 0; m < irreps[b].components(); ++m) {
      for (std::int32_t c = 0; c < irreps[b].channels; ++c) {
        use(b, first + m, c);
      }
    }
  }
}

/// One over the number of blocks, components of block b and channels.
double share(const Irreps& irreps, std::size_t b) {
  return 1.0 / (static_cast<double>(irreps.size()) * irreps[b].components() * irreps[b].channels);
}

double inverse_rms(const Irreps& irreps, double eps, const Value& x, std::int64_t node) {
  double mean = eps;
  for_entries(irreps, [&](std::size_t b, std::int32_t k, std::int32_t c) {
    mean += share(irreps, b) * x.at(node, k, c) * x.at(node, k, c);
  });
  return 1.0 / std::sqrt(mean);
}

} // namespace

Value rms_norm(const RmsNormStage& stage, const Irreps& irreps, const Value& x) {
  Value y = features(x.rows, irreps);
  for (std::int64_t i = 0; i < x.rows; ++i) {
    const double inverse = inverse_rms(irreps, stage.eps, x, i);
    for_entries(irreps, [&](std::size_t b, std::int32_t k, std::int32_t c) {
      y.at(i, k, c) = x.at(i, k, c) * stage.scale[b].values[at(c)] * inverse;
    });
  }
  return y;
}

void rms_norm_adjoint(const RmsNormStage& stage,
                      const Irreps& irreps,
                      const Value& x,
                      const Value& adj_out,
                      Value& adj_x) {
  for (std::int64_t i = 0; i < x.rows; ++i) {
    const double inverse = inverse_rms(irreps, stage.eps, x, i);
    double projection = 0.0;
    for_entries(irreps, [&](std::size_t b, std::int32_t k, std::int32_t c) {
      projection += adj_out.at(i, k, c) * x.at(i, k, c) * stage.scale[b].values[at(c)];
    });
    for_entries(irreps, [&](std::size_t b, std::int32_t k, std::int32_t c) {
      adj_x.at(i, k, c) +=
          inverse * (adj_out.at(i, k, c) * stage.scale[b].values[at(c)] -
                     inverse * inverse * projection * share(irreps, b) * x.at(i, k, c));
    });
  }
}

// ---- symmetric contraction ----

namespace {

/// Calls use(node, component of the output, channel, term, row, coefficient).
template <class Use> void for_terms(const SymmetricContractionStage& stage,
                                    const EdgeList& edges,
                                    const Irreps& out,
                                    const Use& use) {
  for (const ContractionTerm& term : stage.terms) {
    const std::int64_t n_weights = term.weights.shape[1];
    const auto channels = static_cast<std::int32_t>(term.weights.shape[2]);
    for (std::size_t row = 0; row < term.indices.size(); ++row) {
      const auto& index = term.indices[row];
      for (std::int64_t i = 0; i < edges.n_centers; ++i) {
        for (std::int32_t c = 0; c < channels; ++c) {
          const std::int64_t weight = (species_of(edges, i) * n_weights + index[1]) * channels + c;
          use(i,
              first_component(out, term.block) + index[0],
              c,
              term.nu,
              index.data() + 2,
              term.values.values[row] * term.weights.values[at(weight)]);
        }
      }
    }
  }
}

} // namespace

Value symmetric_contraction(const SymmetricContractionStage& stage,
                            const EdgeList& edges,
                            const Irreps& out,
                            const Value& x) {
  Value y = features(edges.n_centers, out);
  for_terms(stage,
            edges,
            out,
            [&](std::int64_t i,
                std::int32_t to,
                std::int32_t c,
                std::int32_t nu,
                const std::int32_t* factors,
                double product) {
              for (std::int32_t f = 0; f < nu; ++f) {
                product *= x.at(i, factors[f], c);
              }
              y.at(i, to, c) += product;
            });
  return y;
}

void symmetric_contraction_adjoint(const SymmetricContractionStage& stage,
                                   const EdgeList& edges,
                                   const Irreps& out,
                                   const Value& x,
                                   const Value& adj_out,
                                   Value& adj_x) {
  for_terms(stage,
            edges,
            out,
            [&](std::int64_t i,
                std::int32_t to,
                std::int32_t c,
                std::int32_t nu,
                const std::int32_t* factors,
                double coefficient) {
              for (std::int32_t of = 0; of < nu; ++of) {
                double product = coefficient * adj_out.at(i, to, c);
                for (std::int32_t f = 0; f < nu; ++f) {
                  product *= f == of ? 1.0 : x.at(i, factors[f], c);
                }
                adj_x.at(i, factors[of], c) += product;
              }
            });
}

// ---- functions on the sphere: f(u) = sum x_lm S_lm(u), S = Y / sqrt(4 pi) ----

namespace {

/// S_lm and their gradients on the unit sphere at the points of a quadrature rule.
struct Grid {
  so3::SphereRule rule;
  std::vector<so3::Harmonics> s;

  Grid(std::int32_t l_max, std::int32_t degree)
      : rule(so3::product_rule(degree)) {
    const double scale = 1.0 / std::sqrt(4.0 * std::acos(-1.0));
    for (const auto& point : rule.point) {
      s.push_back(so3::spherical_harmonics(l_max, point));
      for (double& value : s.back().value) {
        value *= scale;
      }
      for (auto& gradient : s.back().gradient) {
        for (double& component : gradient) {
          component *= scale;
        }
      }
    }
  }

  std::size_t size() const { return s.size(); }
};

/// f at point p, of one row and channel; scale(k): of component k.
template <class Scale> double function_at(const Grid& grid,
                                          std::size_t p,
                                          const Value& x,
                                          std::int64_t row,
                                          std::int32_t c,
                                          const Scale& scale) {
  double f = 0.0;
  for (std::int32_t k = 0; k < x.components; ++k) {
    f += grid.s[p].value[at(k)] * x.at(row, k, c) * scale(k);
  }
  return f;
}

double no_scale(std::int32_t) { return 1.0; }

} // namespace

// ---- sphere polynomial: out[lm] = sum_nu order_nu[l] (projection of f^nu on S_lm) ----

namespace {

double order_weight(const Tensor& order, std::int32_t species, std::int32_t c, std::int32_t l) {
  return order.values[at((species * order.shape[1] + c) * order.shape[2] + l)];
}

Grid grid_of(const SpherePolynomialStage& stage, std::int32_t l_max, const Value& x) {
  const std::int32_t l_in = degree_of(x.components - 1);
  return {std::max(l_in, l_max), static_cast<std::int32_t>(stage.orders.size()) * l_in + l_max};
}

} // namespace

Value sphere_polynomial(const SpherePolynomialStage& stage,
                        const EdgeList& edges,
                        std::int32_t l_max,
                        const Value& x) {
  const Grid grid = grid_of(stage, l_max, x);
  Value y(x.rows, so3::n_components(l_max), x.channels);
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for (std::int32_t c = 0; c < x.channels; ++c) {
      for (std::size_t p = 0; p < grid.size(); ++p) {
        const double f = function_at(grid, p, x, i, c, no_scale);
        double power = grid.rule.weight[p];
        for (const Tensor& order : stage.orders) {
          power *= f;
          for (std::int32_t k = 0; k < y.components; ++k) {
            y.at(i, k, c) += order_weight(order, species_of(edges, i), c, degree_of(k)) * power *
                             grid.s[p].value[at(k)];
          }
        }
      }
    }
  }
  return y;
}

void sphere_polynomial_adjoint(const SpherePolynomialStage& stage,
                               const EdgeList& edges,
                               std::int32_t l_max,
                               const Value& x,
                               const Value& adj_out,
                               Value& adj_x) {
  const Grid grid = grid_of(stage, l_max, x);
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for (std::int32_t c = 0; c < x.channels; ++c) {
      for (std::size_t p = 0; p < grid.size(); ++p) {
        const double f = function_at(grid, p, x, i, c, no_scale);
        double power = grid.rule.weight[p]; // f^(nu-1)
        double adj_f = 0.0;
        for (std::size_t nu = 1; nu <= stage.orders.size(); ++nu) {
          double h = 0.0;
          for (std::int32_t k = 0; k < adj_out.components; ++k) {
            h += order_weight(stage.orders[nu - 1], species_of(edges, i), c, degree_of(k)) *
                 adj_out.at(i, k, c) * grid.s[p].value[at(k)];
          }
          adj_f += static_cast<double>(nu) * power * h;
          power *= f;
        }
        for (std::int32_t k = 0; k < x.components; ++k) {
          adj_x.at(i, k, c) += adj_f * grid.s[p].value[at(k)];
        }
      }
    }
  }
}

// ---- Gaunt product: the projection of f_a f_b, and of u . (grad f_a x grad f_b) ----

namespace {

using Vector = std::array<double, 3>;

double triple(const Vector& u, const Vector& a, const Vector& b) {
  return u[0] * (a[1] * b[2] - a[2] * b[1]) + u[1] * (a[2] * b[0] - a[0] * b[2]) +
         u[2] * (a[0] * b[1] - a[1] * b[0]);
}

/// Entry of an optional [l_max + 1, C] tensor for component k.
double
scale_of(const std::optional<Tensor>& tensor, std::int32_t k, std::int32_t c, double absent) {
  return tensor ? tensor->values[at(degree_of(k) * tensor->shape[1] + c)] : absent;
}

template <class Scale> Vector gradient_at(const Grid& grid,
                                          std::size_t p,
                                          const Value& x,
                                          std::int64_t row,
                                          std::int32_t c,
                                          const Scale& scale) {
  Vector g{};
  for (std::int32_t k = 0; k < x.components; ++k) {
    for (std::size_t a = 0; a < 3; ++a) {
      g[a] += grid.s[p].gradient[at(k)][a] * x.at(row, k, c) * scale(k);
    }
  }
  return g;
}

Grid grid_of_product(std::int32_t l_max, const Value& a, const Value& b) {
  const std::int32_t l_a = degree_of(a.components - 1);
  const std::int32_t l_b = degree_of(b.components - 1);
  return {std::max({l_a, l_b, l_max}), l_a + l_b + l_max};
}

} // namespace

Value gaunt_product(const GauntProductStage& stage,
                    std::int32_t l_max,
                    const Value& a,
                    const Value& b) {
  const Grid grid = grid_of_product(l_max, a, b);
  Value y(a.rows, so3::n_components(l_max), a.channels);
  for (std::int64_t i = 0; i < a.rows; ++i) {
    for (std::int32_t c = 0; c < a.channels; ++c) {
      const auto of_a = [&](std::int32_t k) { return scale_of(stage.scale_a, k, c, 1.0); };
      const auto of_b = [&](std::int32_t k) { return scale_of(stage.scale_b, k, c, 1.0); };
      for (std::size_t p = 0; p < grid.size(); ++p) {
        const double product =
            function_at(grid, p, a, i, c, of_a) * function_at(grid, p, b, i, c, of_b);
        const double curl = triple(grid.rule.point[p],
                                   gradient_at(grid, p, a, i, c, of_a),
                                   gradient_at(grid, p, b, i, c, of_b));
        for (std::int32_t k = 0; k < y.components; ++k) {
          y.at(i, k, c) += grid.rule.weight[p] * grid.s[p].value[at(k)] *
                           (scale_of(stage.scale_out, k, c, 1.0) * product +
                            scale_of(stage.curl, k, c, 0.0) * curl);
        }
      }
    }
  }
  return y;
}

void gaunt_product_adjoint(const GauntProductStage& stage,
                           std::int32_t l_max,
                           const Value& a,
                           const Value& b,
                           const Value& adj_out,
                           Value& adj_a,
                           Value& adj_b) {
  const Grid grid = grid_of_product(l_max, a, b);
  for (std::int64_t i = 0; i < a.rows; ++i) {
    for (std::int32_t c = 0; c < a.channels; ++c) {
      const auto of_a = [&](std::int32_t k) { return scale_of(stage.scale_a, k, c, 1.0); };
      const auto of_b = [&](std::int32_t k) { return scale_of(stage.scale_b, k, c, 1.0); };
      for (std::size_t p = 0; p < grid.size(); ++p) {
        double adj_product = 0.0;
        double adj_curl = 0.0;
        for (std::int32_t k = 0; k < adj_out.components; ++k) {
          const double h = grid.rule.weight[p] * grid.s[p].value[at(k)] * adj_out.at(i, k, c);
          adj_product += scale_of(stage.scale_out, k, c, 1.0) * h;
          adj_curl += scale_of(stage.curl, k, c, 0.0) * h;
        }
        const double f_a = function_at(grid, p, a, i, c, of_a);
        const double f_b = function_at(grid, p, b, i, c, of_b);
        const Vector g_a = gradient_at(grid, p, a, i, c, of_a);
        const Vector g_b = gradient_at(grid, p, b, i, c, of_b);
        const Vector& u = grid.rule.point[p];
        for (std::int32_t k = 0; k < a.components; ++k) {
          adj_a.at(i, k, c) += of_a(k) * (adj_product * f_b * grid.s[p].value[at(k)] +
                                          adj_curl * triple(u, grid.s[p].gradient[at(k)], g_b));
        }
        for (std::int32_t k = 0; k < b.components; ++k) {
          adj_b.at(i, k, c) += of_b(k) * (adj_product * f_a * grid.s[p].value[at(k)] +
                                          adj_curl * triple(u, g_a, grid.s[p].gradient[at(k)]));
        }
      }
    }
  }
}

// ---- Gaunt convolution: the filter of an edge is sum_l w_l sum_m Y_lm(e) S_lm ----

namespace {

/// The filter at point p, in channel c of n.
double filter_at(const Grid& grid,
                 std::size_t p,
                 const Value& harmonics,
                 const Value& radial,
                 std::int64_t e,
                 std::int32_t c,
                 std::int32_t n) {
  double h = 0.0;
  for (std::int32_t k = 0; k < harmonics.components; ++k) {
    h += grid.s[p].value[at(k)] * harmonics.at(e, k, 0) * radial.at(e, 0, degree_of(k) * n + c);
  }
  return h;
}

} // namespace

Value gaunt_convolution(const EdgeList& edges,
                        std::int32_t l_max,
                        const Value& source,
                        const Value& harmonics,
                        const Value& radial) {
  const Grid grid = grid_of_product(l_max, source, harmonics);
  Value y(edges.n_centers, so3::n_components(l_max), source.channels);
  for_edges(edges, [&](std::int32_t i, std::int64_t e) {
    for (std::int32_t c = 0; c < source.channels; ++c) {
      for (std::size_t p = 0; p < grid.size(); ++p) {
        const double product = function_at(grid, p, source, edges.source[at(e)], c, no_scale) *
                               filter_at(grid, p, harmonics, radial, e, c, source.channels);
        for (std::int32_t k = 0; k < y.components; ++k) {
          y.at(i, k, c) += grid.rule.weight[p] * grid.s[p].value[at(k)] * product;
        }
      }
    }
  });
  return y;
}

void gaunt_convolution_adjoint(const EdgeList& edges,
                               std::int32_t l_max,
                               const Value& source,
                               const Value& harmonics,
                               const Value& radial,
                               const Value& adj_out,
                               Value& adj_source,
                               Value& adj_harmonics,
                               Value& adj_radial) {
  const Grid grid = grid_of_product(l_max, source, harmonics);
  const std::int32_t n = source.channels;
  for_edges(edges, [&](std::int32_t i, std::int64_t e) {
    const std::int32_t j = edges.source[at(e)];
    for (std::int32_t c = 0; c < n; ++c) {
      for (std::size_t p = 0; p < grid.size(); ++p) {
        double adj_product = 0.0;
        for (std::int32_t k = 0; k < adj_out.components; ++k) {
          adj_product += grid.rule.weight[p] * grid.s[p].value[at(k)] * adj_out.at(i, k, c);
        }
        const double f = function_at(grid, p, source, j, c, no_scale);
        const double h = filter_at(grid, p, harmonics, radial, e, c, n);
        for (std::int32_t k = 0; k < source.components; ++k) {
          adj_source.at(j, k, c) += adj_product * h * grid.s[p].value[at(k)];
        }
        for (std::int32_t k = 0; k < harmonics.components; ++k) {
          const double s = adj_product * f * grid.s[p].value[at(k)];
          const std::int32_t w = degree_of(k) * n + c;
          adj_harmonics.at(e, k, 0) += s * radial.at(e, 0, w);
          adj_radial.at(e, 0, w) += s * harmonics.at(e, k, 0);
        }
      }
    }
  });
}

// ---- ZBL ----

PairEnergy zbl(const ZblStage& stage,
               std::int32_t species_i,
               std::int32_t species_j,
               std::int32_t number_i,
               std::int32_t number_j,
               double r) {
  constexpr double kCoulomb = 14.3996; // eV Angstrom
  const double range = stage.radius.values[at(species_i)] + stage.radius.values[at(species_j)];
  if (r >= range) {
    return {};
  }
  const double length = stage.screening_length / (std::pow(number_i, stage.screening_exponent) +
                                                  std::pow(number_j, stage.screening_exponent));
  const double prefactor = 0.5 * kCoulomb * number_i * number_j;
  double screening = 0.0;
  double slope = 0.0;
  for (std::size_t q = 0; q < stage.coefficients.size(); ++q) {
    const double term = stage.coefficients[q] * std::exp(-stage.exponents[q] * r / length);
    screening += term;
    slope -= term * stage.exponents[q] / length;
  }
  const ValueAndSlope u = polynomial_envelope(stage.p, r / range);
  return {prefactor / r * screening * u.value,
          prefactor / r * ((slope - screening / r) * u.value + screening * u.slope / range)};
}

} // namespace eqnn::reference
