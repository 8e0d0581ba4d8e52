// SPDX-License-Identifier: BSD-3-Clause
// Every stage of the reference evaluator, forward and adjoint, against upstream's modules (double
// precision, random weights).
#include "model/uniform_stages.hpp"
#include "reference/mlp.hpp"
#include "reference/stages/degree_embedding.hpp"
#include "reference/stages/edge_attention.hpp"
#include "reference/stages/edge_matrix.hpp"
#include "reference/stages/equivariant_norm.hpp"
#include "reference/stages/gate.hpp"
#include "reference/stages/linear.hpp"
#include "reference/stages/radial.hpp"
#include "so3/spherical_harmonics.hpp"
#include "support/compare.hpp"
#include "support/golden.hpp"

#include <gtest/gtest.h>

namespace eqnn::test {
namespace {

using reference::Value;

// Sums of at most a few hundred products of numbers of order 1 to 100, in another order than
// upstream's.
constexpr double kTolerance = 1e-12;
constexpr double kUpstreamNormEps = 1e-5;
constexpr double kUpstreamSoftmaxEps = 1e-16;

std::int32_t components(int l_max) { return (l_max + 1) * (l_max + 1); }

/// T[k][j][i] = sum_r A[i,r] B[j,r] C[k,r]
Tensor coupling(const Golden& golden, const std::string& prefix) {
  const Tensor& a = golden[prefix + "cp_a"];
  const Tensor& b = golden[prefix + "cp_b"];
  const Tensor& c = golden[prefix + "cp_c"];
  const auto d = static_cast<std::size_t>(a.shape[0]);
  const auto rank = static_cast<std::size_t>(a.shape[1]);
  Tensor t{{a.shape[0], a.shape[0], a.shape[0]}, std::vector<double>(d * d * d, 0.0)};
  for (std::size_t k = 0; k < d; ++k) {
    for (std::size_t j = 0; j < d; ++j) {
      for (std::size_t i = 0; i < d; ++i) {
        for (std::size_t r = 0; r < rank; ++r) {
          t.values[(k * d + j) * d + i] +=
              a.values[i * rank + r] * b.values[j * rank + r] * c.values[k * rank + r];
        }
      }
    }
  }
  return t;
}

/// Upstream's radial profile: Linear, LayerNorm, SiLU, Linear, LayerNorm, SiLU, Linear + offset.
std::vector<MlpLayer> radial_layers(const Golden& golden, const std::string& prefix) {
  const auto layer = [&](int linear, bool norm) {
    const std::string name = prefix + "net." + std::to_string(linear);
    MlpLayer out;
    out.weight = golden[name + ".weight"];
    if (norm) {
      const std::string norm_name = prefix + "net." + std::to_string(linear + 1);
      out.bias = golden[name + ".bias"];
      out.layer_norm =
          LayerNorm{golden[norm_name + ".weight"], golden[norm_name + ".bias"], kUpstreamNormEps};
      out.activation = Activation::Silu;
    } else {
      out.bias = golden[prefix + "offset"];
    }
    return out;
  };
  return {layer(0, true), layer(3, true), layer(6, false)};
}

/// w [n_edges, C] of the golden's edge scalars (which upstream's radial profile takes as they are).
Value radial_values(const std::vector<MlpLayer>& layers, const Value& scalars) {
  Value w(scalars.rows, 1, static_cast<std::int32_t>(layers.back().weight.shape[0]));
  for (std::int64_t e = 0; e < scalars.rows; ++e) {
    const std::vector<double> x(scalars.data.begin() + e * scalars.channels,
                                scalars.data.begin() + (e + 1) * scalars.channels);
    const auto y = reference::mlp(layers, x);
    std::copy(y.begin(), y.end(), w.data.begin() + e * w.channels);
  }
  return w;
}

Value radial_values_adjoint(const std::vector<MlpLayer>& layers,
                            const Value& scalars,
                            const Value& adj_w) {
  Value adj_scalars(scalars.rows, 1, scalars.channels);
  for (std::int64_t e = 0; e < scalars.rows; ++e) {
    const std::vector<double> x(scalars.data.begin() + e * scalars.channels,
                                scalars.data.begin() + (e + 1) * scalars.channels);
    const std::vector<double> adj(adj_w.data.begin() + e * adj_w.channels,
                                  adj_w.data.begin() + (e + 1) * adj_w.channels);
    const auto y = reference::mlp_adjoint(layers, x, adj);
    std::copy(y.begin(), y.end(), adj_scalars.data.begin() + e * adj_scalars.channels);
  }
  return adj_scalars;
}

/// sum_j adj_Y_j dY_j/dr for each edge.
std::vector<double> harmonics_adjoint(const EdgeList& edges, const Value& adj_y) {
  std::vector<double> gradient(edges.vector.size(), 0.0);
  int l_max = 0;
  while (components(l_max) < adj_y.components) {
    ++l_max;
  }
  for (std::size_t e = 0; e < edges.source.size(); ++e) {
    const auto y = so3::spherical_harmonics(
        l_max, {edges.vector[3 * e], edges.vector[3 * e + 1], edges.vector[3 * e + 2]});
    for (std::size_t j = 0; j < y.value.size(); ++j) {
      for (std::size_t a = 0; a < 3; ++a) {
        gradient[3 * e + a] +=
            adj_y.at(static_cast<std::int64_t>(e), static_cast<std::int32_t>(j), 0) *
            y.gradient[j][a];
      }
    }
  }
  return gradient;
}

/// A linear map of all degrees up to l_max, as upstream has it.
struct UniformLinear {
  int l_max = 0;
  Tensor weight;
  std::optional<Tensor> bias;
};

Irreps irreps_of(int l_max, std::int64_t channels) {
  return uniform_irreps(l_max, static_cast<std::int32_t>(channels), false);
}

EdgeList nodes(std::int64_t n) {
  EdgeList edges;
  edges.n_centers = edges.n_nodes = static_cast<std::int32_t>(n);
  edges.begin.assign(static_cast<std::size_t>(n) + 1, 0);
  edges.species.assign(static_cast<std::size_t>(n), 0);
  return edges;
}

Value linear(const UniformLinear& map, const Value& x) {
  const LinearStage stage = uniform_linear(0, map.l_max, map.weight, map.bias);
  return reference::linear(stage,
                           nodes(x.rows),
                           irreps_of(degree_of(x.components - 1), x.channels),
                           irreps_of(map.l_max, map.weight.shape[0]),
                           x);
}

void linear_adjoint(const UniformLinear& map, const Value& adj_out, Value& adj_x) {
  const LinearStage stage = uniform_linear(0, map.l_max, map.weight, map.bias);
  reference::linear_adjoint(stage,
                            nodes(adj_x.rows),
                            irreps_of(degree_of(adj_x.components - 1), adj_x.channels),
                            irreps_of(map.l_max, map.weight.shape[0]),
                            adj_out,
                            adj_x);
}

/// Upstream's gate of all degrees.
struct UniformGate {
  UniformGate(const Value& x, const Value& gates)
      : l_max(degree_of(x.components - 1))
      , stage(uniform_gate(0, 1, l_max, x.channels))
      , irreps(irreps_of(l_max, x.channels))
      , of_gates(irreps_of(0, x.channels))
      , inputs{irreps, of_gates, irreps, x, gates} {}

  int l_max;
  GateStage stage;
  Irreps irreps, of_gates;
  reference::GateInputs inputs;
};

Value gate(const Value& x, const Value& gates) {
  const UniformGate upstream(x, gates);
  return reference::gate(upstream.stage, upstream.inputs);
}

void gate_adjoint(
    const Value& x, const Value& gates, const Value& adj_out, Value& adj_x, Value& adj_gates) {
  const UniformGate upstream(x, gates);
  reference::gate_adjoint(upstream.stage, upstream.inputs, adj_out, adj_x, adj_gates);
}

UniformLinear linear_stage(const Golden& golden, const std::string& name, int l_max) {
  UniformLinear stage;
  stage.l_max = l_max;
  stage.weight = golden[name + ".linear.weight"];
  if (golden.has(name + ".bias")) {
    stage.bias = golden.reshaped(name + ".bias", {stage.weight.shape[0]});
  }
  return stage;
}

EquivariantNormStage norm_stage(const Golden& golden, const std::string& name, int l_max) {
  const std::int64_t channels = golden[name + "affine_bias"].size();
  return {-1,
          kUpstreamNormEps,
          golden.reshaped(name + "affine_weight", {l_max + 1, channels}),
          golden.reshaped(name + "affine_bias", {channels})};
}

/// First or second half of the output channels: upstream's Gate takes values and gates from one
/// linear map.
UniformLinear half(const UniformLinear& whole, bool second, int l_max) {
  UniformLinear stage;
  stage.l_max = l_max;
  const std::int64_t n_out = whole.weight.shape[0] / 2;
  const std::int64_t n_in = whole.weight.shape[1];
  const auto take = [&](const Tensor& from, std::vector<std::int64_t> shape, std::int64_t row) {
    const std::ptrdiff_t begin = second ? n_out * row : 0;
    return Tensor{std::move(shape),
                  {from.values.begin() + begin, from.values.begin() + begin + n_out * row}};
  };
  stage.weight = take(whole.weight, {n_out, n_in}, n_in);
  stage.bias = take(*whole.bias, {n_out}, 1);
  return stage;
}

EdgeAttentionStage attention_stage(const Golden& golden, const std::string& prefix, int heads) {
  EdgeAttentionStage stage;
  stage.heads = heads;
  stage.negative_slope = 0.2;
  stage.eps = kUpstreamSoftmaxEps;
  const UniformLinear logit = linear_stage(golden, prefix + "lin_alpha", 0);
  const UniformLinear both = linear_stage(golden, prefix + "lin_value", 0);
  stage.logit_weight = logit.weight;
  stage.logit_bias = *logit.bias;
  stage.logit_vector = golden[prefix + "alpha_dot"];
  stage.value_weight = half(both, false, 0).weight;
  stage.value_bias = *half(both, false, 0).bias;
  stage.gate_weight = half(both, true, 0).weight;
  stage.gate_bias = *half(both, true, 0).bias;
  return stage;
}

/// Upstream's attention module from its nodes on: maps to source and center, attention, projection.
/// Forward and adjoint.
struct AttentionModule {
  AttentionModule(const Golden& golden, const std::string& prefix, int l_max, int heads)
      : to_source(linear_stage(golden, prefix + "merge_src", l_max))
      , to_center(linear_stage(golden, prefix + "merge_dst", l_max))
      , projection(linear_stage(golden, prefix + "proj", l_max))
      , attention(attention_stage(golden, prefix, heads))
      , layers(radial_layers(golden, prefix + "rad."))
      , matrix{-1, coupling(golden, prefix + "tp1.cp_tp.")} {}

  Value forward(const EdgeList& edges, const Value& x, const Value& y, const Value& scalars) {
    source = linear(to_source, x);
    center = linear(to_center, x);
    m = reference::edge_matrix(matrix, y);
    w = radial_values(layers, scalars);
    return linear(projection,
                  reference::edge_attention(attention, edges, {}, {source, center, m, w}));
  }

  void adjoint(const EdgeList& edges,
               const Value& scalars,
               const Value& adj_out,
               Value& adj_x,
               Value& adj_y,
               Value& adj_scalars) {
    Value adj_attention(adj_out.rows, adj_out.components, adj_out.channels);
    linear_adjoint(projection, adj_out, adj_attention);
    Value adj_source(source.rows, source.components, source.channels);
    Value adj_center = adj_source;
    Value adj_m(m.rows, m.components, m.channels);
    Value adj_w(w.rows, 1, w.channels);
    reference::edge_attention_adjoint(attention,
                                      edges,
                                      {},
                                      {source, center, m, w},
                                      adj_attention,
                                      {adj_source, adj_center, adj_m, adj_w});
    linear_adjoint(to_source, adj_source, adj_x);
    linear_adjoint(to_center, adj_center, adj_x);
    reference::edge_matrix_adjoint(matrix, adj_m, adj_y);
    adj_scalars = radial_values_adjoint(layers, scalars, adj_w);
  }

  UniformLinear to_source, to_center, projection;
  EdgeAttentionStage attention;
  std::vector<MlpLayer> layers;
  EdgeMatrixStage matrix;
  Value source, center, m, w;
};

class TdnStages : public testing::TestWithParam<int> {
protected:
  int l_max() const { return GetParam(); }

  std::int32_t d() const { return components(l_max()); }

  std::string file(const std::string& op) const {
    return "tdn/op_" + op + "_l" + std::to_string(l_max()) + ".safetensors";
  }
};

TEST_P(TdnStages, EdgeMatrixTimesFeaturesIsTheTensorProduct) {
  const Golden golden(file("cptp"));
  const Value x = golden.value("x", d(), 16);
  const Value y = golden.value("y", d(), 1);
  const Value w = golden.value("w", 1, 16);
  const Value g = golden.value("g", d(), 16);
  const EdgeMatrixStage stage{-1, coupling(golden, "")};
  const Value m = reference::edge_matrix(stage, y);
  Value out(x.rows, d(), 16);
  Value adj_x(x.rows, d(), 16);
  Value adj_w(x.rows, 1, 16);
  Value adj_m(x.rows, d(), d());
  for (std::int64_t e = 0; e < x.rows; ++e) {
    for (std::int32_t c = 0; c < 16; ++c) {
      for (std::int32_t k = 0; k < d(); ++k) {
        for (std::int32_t i = 0; i < d(); ++i) {
          out.at(e, k, c) += m.at(e, k, i) * x.at(e, i, c) * w.at(e, 0, c);
          adj_x.at(e, i, c) += m.at(e, k, i) * g.at(e, k, c) * w.at(e, 0, c);
          adj_w.at(e, 0, c) += m.at(e, k, i) * g.at(e, k, c) * x.at(e, i, c);
          adj_m.at(e, k, i) += g.at(e, k, c) * x.at(e, i, c) * w.at(e, 0, c);
        }
      }
    }
  }
  Value adj_y(x.rows, d(), 1);
  reference::edge_matrix_adjoint(stage, adj_m, adj_y);
  EXPECT_LE(relative_error(out.data, golden["out"].values), kTolerance);
  EXPECT_LE(relative_error(adj_x.data, golden["grad_x"].values), kTolerance);
  EXPECT_LE(relative_error(adj_w.data, golden["grad_w"].values), kTolerance);
  EXPECT_LE(relative_error(adj_y.data, golden["grad_y"].values), kTolerance);

  EdgeList edges;
  edges.source.assign(static_cast<std::size_t>(x.rows), 0);
  edges.vector = golden["vec"].values;
  for (std::int64_t e = 0; e < x.rows; ++e) {
    const double* const r = edges.vector.data() + 3 * e;
    const auto harmonics = so3::spherical_harmonics(l_max(), {r[0], r[1], r[2]});
    EXPECT_LE(
        max_error(harmonics.value,
                  std::vector<double>(y.data.begin() + e * d(), y.data.begin() + (e + 1) * d())),
        kTolerance);
  }
  EXPECT_LE(relative_error(harmonics_adjoint(edges, adj_y), golden["grad_vec"].values), kTolerance);
}

TEST_P(TdnStages, Linear) {
  const Golden golden(file("linear"));
  const UniformLinear stage = linear_stage(golden, "sd", l_max());
  const Value x = golden.value("x", d(), 16);
  Value adj_x(x.rows, d(), 16);
  linear_adjoint(stage, golden.value("g", d(), 32), adj_x);
  EXPECT_LE(relative_error(linear(stage, x).data, golden["out"].values), kTolerance);
  EXPECT_LE(relative_error(adj_x.data, golden["grad_x"].values), kTolerance);
}

TEST_P(TdnStages, EquivariantNorm) {
  const Golden golden(file("layernorm"));
  const EquivariantNormStage stage = norm_stage(golden, "sd.", l_max());
  const Value x = golden.value("x", d(), 16);
  Value adj_x(x.rows, d(), 16);
  reference::equivariant_norm_adjoint(stage, x, golden.value("g", d(), 16), adj_x);
  EXPECT_LE(relative_error(reference::equivariant_norm(stage, x).data, golden["out"].values),
            kTolerance);
  EXPECT_LE(relative_error(adj_x.data, golden["grad_x"].values), kTolerance);
}

TEST_P(TdnStages, Gate) {
  const Golden golden(file("gate"));
  const Value both = golden.value("x", d(), 32);
  Value x(both.rows, d(), 16);
  Value gates(both.rows, 1, 16);
  for (std::int64_t i = 0; i < both.rows; ++i) {
    for (std::int32_t c = 0; c < 16; ++c) {
      for (std::int32_t k = 0; k < d(); ++k) {
        x.at(i, k, c) = both.at(i, k, c);
      }
      gates.at(i, 0, c) = both.at(i, 0, 16 + c);
    }
  }
  Value adj_x(both.rows, d(), 16);
  Value adj_gates(both.rows, 1, 16);
  gate_adjoint(x, gates, golden.value("g", d(), 16), adj_x, adj_gates);
  Value adj_both(both.rows, d(), 32);
  for (std::int64_t i = 0; i < both.rows; ++i) {
    for (std::int32_t c = 0; c < 16; ++c) {
      for (std::int32_t k = 0; k < d(); ++k) {
        adj_both.at(i, k, c) = adj_x.at(i, k, c);
      }
      adj_both.at(i, 0, 16 + c) = adj_gates.at(i, 0, c);
    }
  }
  EXPECT_LE(relative_error(gate(x, gates).data, golden["out"].values), kTolerance);
  EXPECT_LE(relative_error(adj_both.data, golden["grad_x"].values), kTolerance);
}

TEST_P(TdnStages, DegreeEmbedding) {
  const Golden golden(file("degree"));
  std::vector<std::size_t> order;
  const EdgeList edges = golden.edges(6, order);
  const Value y = in_order(golden.value("edge_attr", d(), 1), order);
  const Value scalars = in_order(golden.value("edge_scalars", 1, 16), order);
  // The element-independent vector v = rowsum(exp) + bias goes into the last layer of the radial
  // profile.
  auto layers = radial_layers(golden, "sd.rad.");
  const UniformLinear exp = linear_stage(golden, "sd.exp", 0);
  for (std::size_t c = 0; c < 16; ++c) {
    double v = exp.bias->values[c];
    for (std::size_t k = 0; k < 16; ++k) {
      v += exp.weight.values[c * 16 + k];
    }
    layers.back().bias->values[c] *= v;
    for (std::size_t k = 0; k < 20; ++k) {
      layers.back().weight.values[c * 20 + k] *= v;
    }
  }
  const UniformLinear proj = linear_stage(golden, "sd.proj", 0);
  DegreeEmbeddingStage stage{-1, -1, proj.weight, *proj.bias};
  const double scale = 1.0 / std::sqrt(std::stod(golden.metadata().at("avg_aggregate_num")));
  for (auto* tensor : {&stage.weight, &stage.bias}) {
    for (double& value : tensor->values) {
      value *= scale;
    }
  }
  const EdgeMatrixStage matrix{-1, coupling(golden, "sd.tp.cp_tp.")};
  const Value m = reference::edge_matrix(matrix, y);
  const Value w = radial_values(layers, scalars);
  EXPECT_LE(
      relative_error(reference::degree_embedding(stage, edges, m, w).data, golden["out"].values),
      kTolerance);

  Value adj_m(m.rows, d(), d());
  Value adj_w(w.rows, 1, 16);
  reference::degree_embedding_adjoint(
      stage, edges, m, w, golden.value("g", d(), 16), {adj_m, adj_w});
  Value adj_y(y.rows, d(), 1);
  reference::edge_matrix_adjoint(matrix, adj_m, adj_y);
  EXPECT_LE(relative_error(radial_values_adjoint(layers, scalars, adj_w).data,
                           in_order(golden.value("grad_edge_scalars", 1, 16), order).data),
            kTolerance);
  EXPECT_LE(relative_error(harmonics_adjoint(edges, adj_y),
                           in_order(golden.value("grad_edge_vec", 1, 3), order).data),
            kTolerance);
}

TEST_P(TdnStages, EdgeAttention) {
  const Golden golden(file("attn"));
  std::vector<std::size_t> order;
  const EdgeList edges = golden.edges(6, order);
  const Value x = golden.value("node_input", d(), 16);
  const Value y = in_order(golden.value("edge_attr", d(), 1), order);
  const Value scalars = in_order(golden.value("edge_scalars", 1, 16), order);
  AttentionModule module(golden, "sd.", l_max(), 4);
  EXPECT_LE(relative_error(module.forward(edges, x, y, scalars).data, golden["out"].values),
            kTolerance);

  Value adj_x(x.rows, d(), 16);
  Value adj_y(y.rows, d(), 1);
  Value adj_scalars;
  module.adjoint(edges, scalars, golden.value("g", d(), 16), adj_x, adj_y, adj_scalars);
  EXPECT_LE(relative_error(adj_x.data, golden["grad_node_input"].values), kTolerance);
  EXPECT_LE(
      relative_error(adj_y.data, in_order(golden.value("grad_edge_attr", d(), 1), order).data),
      kTolerance);
  EXPECT_LE(relative_error(adj_scalars.data,
                           in_order(golden.value("grad_edge_scalars", 1, 16), order).data),
            kTolerance);
  EXPECT_LE(relative_error(harmonics_adjoint(edges, adj_y),
                           in_order(golden.value("grad_edge_vec", 1, 3), order).data),
            kTolerance);
}

TEST_P(TdnStages, Block) {
  const Golden golden(file("block"));
  std::vector<std::size_t> order;
  const EdgeList edges = golden.edges(6, order);
  const Value x = golden.value("node_input", d(), 16);
  const Value y = in_order(golden.value("edge_attr", d(), 1), order);
  const Value scalars = in_order(golden.value("edge_scalars", 1, 16), order);
  const auto add = [](Value a, const Value& b) {
    for (std::size_t k = 0; k < a.data.size(); ++k) {
      a.data[k] += b.data[k];
    }
    return a;
  };
  const EquivariantNormStage norm1 = norm_stage(golden, "sd.norm1.", l_max());
  const EquivariantNormStage norm2 = norm_stage(golden, "sd.norm2.", l_max());
  const UniformLinear widen = linear_stage(golden, "sd.ffn.0", l_max());
  const UniformLinear values = half(widen, false, l_max());
  const UniformLinear gates = half(widen, true, 0);
  const UniformLinear narrow = linear_stage(golden, "sd.ffn.2", l_max());
  AttentionModule module(golden, "sd.attn.", l_max(), 4);

  const Value middle =
      add(x, module.forward(edges, reference::equivariant_norm(norm1, x), y, scalars));
  const Value n2 = reference::equivariant_norm(norm2, middle);
  const Value v = linear(values, n2);
  const Value g = linear(gates, n2);
  EXPECT_LE(relative_error(add(middle, linear(narrow, gate(v, g))).data, golden["out"].values),
            kTolerance);

  const Value adj_out = golden.value("g", d(), 16);
  const Value zero(x.rows, d(), 16);
  Value adj_gated = zero;
  linear_adjoint(narrow, adj_out, adj_gated);
  Value adj_v = zero;
  Value adj_g(x.rows, 1, 16);
  gate_adjoint(v, g, adj_gated, adj_v, adj_g);
  Value adj_n2 = zero;
  linear_adjoint(values, adj_v, adj_n2);
  linear_adjoint(gates, adj_g, adj_n2);
  Value adj_middle = adj_out;
  reference::equivariant_norm_adjoint(norm2, middle, adj_n2, adj_middle);
  Value adj_n1 = zero;
  Value adj_y(y.rows, d(), 1);
  Value adj_scalars;
  module.adjoint(edges, scalars, adj_middle, adj_n1, adj_y, adj_scalars);
  Value adj_x = adj_middle;
  reference::equivariant_norm_adjoint(norm1, x, adj_n1, adj_x);
  EXPECT_LE(relative_error(adj_x.data, golden["grad_node_input"].values), kTolerance);
  EXPECT_LE(relative_error(adj_scalars.data,
                           in_order(golden.value("grad_edge_scalars", 1, 16), order).data),
            kTolerance);
  EXPECT_LE(relative_error(harmonics_adjoint(edges, adj_y),
                           in_order(golden.value("grad_edge_vec", 1, 3), order).data),
            kTolerance);
}

INSTANTIATE_TEST_SUITE_P(LMax, TdnStages, testing::Values(1, 2, 3, 4));

TEST(TdnRadial, GaussiansWithTheirSlopes) {
  const Golden golden("tdn/op_rbf.safetensors");
  const double cutoff = std::stod(golden.metadata().at("cutoff"));
  const double weight = golden["sd.weight"].values[0];
  const double bias = golden["sd.bias"].values[0];
  const std::size_t n = golden["sd.mean"].values.size();
  RadialStage stage;
  GaussianBasis basis;
  MlpLayer identity;
  identity.weight = Tensor{{static_cast<std::int64_t>(n), static_cast<std::int64_t>(n)},
                           std::vector<double>(n * n, 0.0)};
  for (std::size_t k = 0; k < n; ++k) {
    identity.weight.values[k * n + k] = 1.0;
    const double deviation = std::abs(golden["sd.std"].values[k]) + 1e-5;
    basis.center.values.push_back((golden["sd.mean"].values[k] - bias) / weight * cutoff);
    basis.width.values.push_back(deviation / std::abs(weight) * cutoff);
    basis.amplitude.values.push_back(1.0 / (std::sqrt(2.0 * std::acos(-1.0)) * deviation));
  }
  stage.basis = basis;
  stage.layers = {identity};
  std::vector<double> out;
  std::vector<double> adj_r;
  for (std::size_t e = 0; e < golden["r"].values.size(); ++e) {
    const auto sample = reference::radial(stage, cutoff, golden["r"].values[e]);
    out.insert(out.end(), sample.value.begin(), sample.value.end());
    adj_r.push_back(0.0);
    for (std::size_t k = 0; k < n; ++k) {
      adj_r.back() += golden["g"].values[e * n + k] * sample.derivative[k];
    }
  }
  // Upstream has pi to double precision in its prefactor; folding weight and bias into centers and
  // widths costs a few ulp.
  EXPECT_LE(relative_error(out, golden["out"].values), kTolerance);
  EXPECT_LE(relative_error(adj_r, golden["grad_r"].values), kTolerance);
}

TEST(TdnRadial, ProfileAndItsAdjoint) {
  const Golden golden("tdn/op_radialprofile.safetensors");
  const auto layers = radial_layers(golden, "sd.");
  const Value x = golden.value("x", 1, 16);
  EXPECT_LE(relative_error(radial_values(layers, x).data, golden["out"].values), kTolerance);
  EXPECT_LE(relative_error(radial_values_adjoint(layers, x, golden.value("g", 1, 32)).data,
                           golden["grad_x"].values),
            kTolerance);
}

} // namespace
} // namespace eqnn::test
