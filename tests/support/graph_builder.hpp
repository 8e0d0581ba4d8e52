// SPDX-License-Identifier: BSD-3-Clause
// Random networks and single stages: for tests of kernels against the reference, and for benchmarks.
#pragma once

#include "base/error.hpp"
#include "model/model_spec.hpp"
#include "model/uniform_stages.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <string>
#include <utility>

namespace eqnn::test {

/// Builds a graph stage by stage, with random weights. Every method returns the stage it made.
class GraphBuilder {
public:
  GraphBuilder(std::vector<std::int32_t> species,
               double cutoff,
               std::int32_t l_max,
               Parity parity,
               std::uint32_t seed)
      : random_(seed) {
    spec_.file = "random model";
    spec_.family = "random";
    spec_.cutoff = cutoff;
    spec_.l_max = l_max;
    spec_.parity = parity;
    for (std::size_t s = 0; s < species.size(); ++s) {
      spec_.energy.scale.push_back(1.3 + 0.1 * static_cast<double>(s));
      spec_.energy.reference.push_back(-1.0 - static_cast<double>(s));
    }
    spec_.energy.shift = -0.7;
    spec_.species = std::move(species);
  }

  /// What was built, without an energy.
  ModelSpec take() { return std::move(spec_); }

  ModelSpec finish(const std::vector<StageIndex>& terms) {
    add(ValueKind::Energy, EnergyStage{terms});
    return std::move(spec_);
  }

  Stage stage(StageIndex k) const { return spec_.graph[at(k)]; }

  /// A copy: stages move as the graph grows.
  Irreps irreps(StageIndex k) const { return spec_.graph[at(k)].irreps; }

  /// Any stage that makes features.
  StageIndex features(const Irreps& irreps, decltype(Stage::op) op) {
    const StageIndex k = add(ValueKind::Features, std::move(op));
    Stage& stage = spec_.graph.back();
    stage.irreps = irreps;
    stage.l_max = irreps.back().l;
    stage.channels = is_uniform(irreps) ? irreps.front().channels : 0;
    return k;
  }

  /// Normal numbers.
  Tensor tensor(std::vector<std::int64_t> shape, double deviation) {
    std::int64_t n = 1;
    for (const std::int64_t extent : shape) {
      n *= extent;
    }
    Tensor out{std::move(shape), std::vector<double>(at(n))};
    std::normal_distribution<double> normal(0.0, 1.0);
    for (double& value : out.values) {
      value = deviation * normal(random_);
    }
    return out;
  }

  StageIndex harmonics(std::int32_t l_max) {
    const StageIndex k = add(ValueKind::Harmonics, SphericalHarmonicsStage{l_max});
    spec_.graph.back().l_max = l_max;
    return k;
  }

  StageIndex radial(std::int32_t channels, EnvelopeKind envelope = EnvelopeKind::Polynomial) {
    RadialStage op;
    BesselBasis basis;
    const int n = 6;
    for (int k = 1; k <= n; ++k) {
      basis.frequency.values.push_back(3.14159265 * k / spec_.cutoff * (1.0 + 0.02 * k));
      basis.amplitude.values.push_back(0.7);
    }
    basis.frequency.shape = basis.amplitude.shape = {n};
    op.basis = std::move(basis);
    op.envelope.kind = envelope;
    op.envelope.p = 5.0;
    op.envelope.start = 0.8 * spec_.cutoff;
    op.envelope.on_basis = true;
    const std::int64_t width = 12;
    op.layers = {
        MlpLayer{tensor({width, n}, 0.5), std::nullopt, std::nullopt, Activation::Silu},
        MlpLayer{tensor({channels, width}, 0.4), std::nullopt, std::nullopt, Activation::None}};
    const Tensor radius{{n_species()}, {0.31, 0.76, 0.66}};
    if (of_species == OfSpecies::Agnesi) {
      op.transform = AgnesiTransform{radius, 1.0805, 0.9183, 4.5791};
    } else if (of_species == OfSpecies::Soft) {
      op.transform = SoftTransform{radius, 4.0};
    } else if (of_species == OfSpecies::Terms) {
      op.species_terms =
          SpeciesTerms{tensor({n_species(), width}, 2.0), tensor({n_species(), width}, 2.0)};
      op.layers.front().layer_norm = LayerNorm{tensor({width}, 0.5), tensor({width}, 0.5), 1e-5};
      op.layers.back().bias = tensor({channels}, 0.3);
    }
    return add_radial(std::move(op));
  }

  StageIndex add_radial(RadialStage op) {
    const auto channels = static_cast<std::int32_t>(op.layers.back().weight.shape[0]);
    const StageIndex k = add(ValueKind::Radial, std::move(op));
    spec_.graph.back().channels = channels;
    return k;
  }

  /// Which of a radial function depends on the species of both atoms.
  enum class OfSpecies { Nothing, Agnesi, Soft, Terms };

  /// What the next radial functions have of it.
  OfSpecies of_species = OfSpecies::Nothing;

  /// Features that a test sets.
  StageIndex input(const Irreps& irreps) {
    return features(irreps,
                    SpeciesEmbeddingStage{irreps.back().l,
                                          tensor({n_species(), irreps.front().channels}, 1.0)});
  }

  /// `channels` of each degree.
  StageIndex uniform_input(std::int32_t l_max, std::int32_t channels) {
    return input(uniform_irreps(l_max, channels, spec_.parity == Parity::O3));
  }

  StageIndex matrix(StageIndex y) {
    const std::int32_t l_max = spec_.graph[at(y)].l_max;
    const std::int64_t d = std::int64_t{l_max + 1} * (l_max + 1);
    const StageIndex k =
        add(ValueKind::Matrix, EdgeMatrixStage{y, tensor({d, d, d}, 1.0 / static_cast<double>(d))});
    spec_.graph.back().l_max = l_max;
    return k;
  }

  StageIndex degree_embedding(StageIndex m, std::int32_t n_radial, std::int32_t channels) {
    const StageIndex w = radial(n_radial);
    DegreeEmbeddingStage op{m, w, tensor({channels, n_radial}, 0.5), tensor({channels}, 0.3)};
    return features(uniform_irreps(spec_.graph[at(m)].l_max, channels, spec_.parity == Parity::O3),
                    std::move(op));
  }

  /// envelope: order of the polynomial; 0: none
  StageIndex attention(StageIndex source,
                       StageIndex center,
                       StageIndex m,
                       std::int32_t heads,
                       std::int32_t envelope = 0) {
    const std::int32_t c = irreps(source).front().channels;
    const double deviation = 1.0 / std::sqrt(static_cast<double>(c));
    EdgeAttentionStage op;
    op.source = source;
    op.center = center;
    op.matrix = m;
    op.radial = radial(c);
    op.heads = heads;
    op.envelope = envelope;
    op.negative_slope = 0.2;
    op.eps = 1e-16;
    op.logit_weight = tensor({c, c}, deviation);
    op.logit_bias = tensor({c}, 0.3);
    op.logit_vector = tensor({heads, c / heads}, 1.0);
    op.value_weight = tensor({c, c}, deviation);
    op.value_bias = tensor({c}, 0.3);
    op.gate_weight = tensor({c, c}, deviation);
    op.gate_bias = tensor({c}, 0.3);
    return features(irreps(source), std::move(op));
  }

  StageIndex equivariant_norm(StageIndex x) {
    const std::int32_t l_max = irreps(x).back().l;
    const std::int32_t c = irreps(x).front().channels;
    EquivariantNormStage op{x, 1e-2, tensor({l_max + 1, c}, 0.5), tensor({c}, 0.3)};
    return features(irreps(x), std::move(op));
  }

  /// Each degree by the same matrix.
  StageIndex uniform_map(StageIndex x, std::int32_t l_max, std::int32_t channels) {
    const std::int64_t n_in = irreps(x).front().channels;
    return features(
        uniform_irreps(l_max, channels, spec_.parity == Parity::O3),
        uniform_linear(x, l_max, tensor({channels, n_in}, 0.5), tensor({channels}, 0.3)));
  }

  /// Each channel by the same one of other features.
  StageIndex gate_by(StageIndex x, StageIndex gates) {
    return features(irreps(x),
                    uniform_gate(x, gates, irreps(x).back().l, irreps(x).front().channels));
  }

  StageIndex direct_forces(StageIndex x) { return add(ValueKind::Forces, DirectForcesStage{x}); }

  StageIndex embedding(std::int32_t channels) {
    return features(Irreps{{0, false, channels}},
                    SpeciesEmbeddingStage{0, tensor({n_species(), channels}, 1.0)});
  }

  StageIndex linear(StageIndex x, const Irreps& out, bool per_species = false) {
    LinearStage op;
    op.features = x;
    op.per_species = per_species;
    for (std::size_t b = 0; b < out.size(); ++b) {
      const std::int32_t in = find_block(irreps(x), out[b]);
      const std::int64_t n_in = irreps(x)[at(in)].channels;
      std::vector<std::int64_t> shape{out[b].channels, n_in};
      if (per_species) {
        shape.insert(shape.begin(), n_species());
      }
      op.blocks.push_back({in,
                           static_cast<std::int32_t>(b),
                           tensor(shape, 1.0 / std::sqrt(static_cast<double>(n_in)))});
    }
    if (!per_species && out.front().l == 0 && !out.front().odd) {
      op.bias = tensor({out.front().channels}, 0.3);
    }
    return features(out, std::move(op));
  }

  /// Block of the source, degree of the harmonics, degree of the output.
  using PathList = std::vector<std::array<std::int32_t, 3>>;

  /// All paths with output degrees up to l_out; by parity, if the model is o3.
  StageIndex product(StageIndex x,
                     StageIndex y,
                     std::int32_t l_out,
                     EnvelopeKind envelope = EnvelopeKind::Polynomial) {
    PathList paths;
    const Irreps in = irreps(x);
    for (std::size_t b = 0; b < in.size(); ++b) {
      for (std::int32_t l = 0; l <= spec_.graph[at(y)].l_max; ++l) {
        for (std::int32_t l3 = std::abs(in[b].l - l); l3 <= std::min(in[b].l + l, l_out); ++l3) {
          paths.push_back({static_cast<std::int32_t>(b), l, l3});
        }
      }
    }
    return product_of(x, y, paths, envelope);
  }

  /// These paths, in this order.
  StageIndex product_of(StageIndex x,
                        StageIndex y,
                        const PathList& paths,
                        EnvelopeKind envelope = EnvelopeKind::Polynomial) {
    EdgeTensorProductStage op;
    op.source = x;
    op.harmonics = y;
    std::int32_t n_radial = 0;
    const Irreps out = add_paths(irreps(x), paths, op.paths, n_radial);
    op.radial = radial(n_radial, envelope);
    return features(out, std::move(op));
  }

  /// hidden: widths of the network, the first of them that of the sum. function: after each layer
  /// but the last of several. envelope: exponent; 0: none
  StageIndex network_product(StageIndex x,
                             StageIndex center,
                             StageIndex y,
                             const PathList& paths,
                             const std::vector<std::int32_t>& hidden,
                             Activation function = Activation::Silu,
                             double envelope = 0.0) {
    EdgeNetworkProductStage op;
    op.scalars = hidden.front();
    op.center = center;
    op.source = x;
    op.harmonics = y;
    op.radial = radial(op.scalars);
    op.activation = function;
    op.envelope = envelope;
    Irreps of_paths = irreps(x);
    of_paths.front().channels -= op.scalars;
    std::int32_t n_weights = 0;
    const Irreps out = add_paths(of_paths, paths, op.paths, n_weights);
    for (std::size_t l = 0; l < hidden.size(); ++l) {
      const bool is_last = l + 1 == hidden.size();
      const std::int64_t n_in = hidden[l];
      const std::int64_t n_out = is_last ? n_weights : hidden[l + 1];
      const double deviation = 1.5 / std::sqrt(static_cast<double>(n_in));
      MlpLayer layer{tensor({n_out, n_in}, deviation), std::nullopt, std::nullopt, function};
      if (l % 2 == 1) {
        layer.bias = tensor({n_out}, 0.3);
      }
      if (is_last && hidden.size() > 1) {
        layer.activation = Activation::None;
      }
      op.layers.push_back(std::move(layer));
    }
    return features(out, std::move(op));
  }

  /// Gates every l > 0 channel by a 0e channel; `in` needs so many more of those.
  StageIndex gate(StageIndex x,
                  Activation scalars = Activation::Silu,
                  Activation gates = Activation::Sigmoid) {
    GateStage op;
    op.features = op.gates = x;
    const Irreps& in = irreps(x);
    std::int32_t n_gates = 0;
    for (const IrrepsBlock& block : in) {
      n_gates += block.l > 0 ? block.channels : 0;
    }
    Irreps out = in;
    std::int32_t channel = out.front().channels -= n_gates;
    for (std::int32_t b = 0; b < static_cast<std::int32_t>(in.size()); ++b) {
      const IrrepsBlock& block = out[at(b)];
      if (block.l == 0) {
        op.blocks.push_back({b, b, -1, 0, block.channels, block.odd ? Activation::Tanh : scalars});
      } else {
        op.blocks.push_back({b, b, 0, channel, block.channels, gates});
        channel += block.channels;
      }
    }
    return features(out, op);
  }

  StageIndex rms_norm(StageIndex x) {
    RmsNormStage op;
    op.features = x;
    op.eps = 1e-3;
    for (const IrrepsBlock& block : irreps(x)) {
      op.scale.push_back(tensor({block.channels}, 0.3));
      for (double& value : op.scale.back().values) {
        value += 1.0;
      }
    }
    return features(irreps(x), std::move(op));
  }

  StageIndex norm_activation(StageIndex x, Activation function, double eps = 1e-8) {
    NormActivationStage op;
    op.features = x;
    op.function = function;
    op.eps = eps;
    return features(irreps(x), op);
  }

  StageIndex soft_normalization(StageIndex x, double limit) {
    NormActivationStage op;
    op.features = x;
    op.limit = limit;
    return features(irreps(x), op);
  }

  StageIndex sum(StageIndex a, StageIndex b) { return features(irreps(a), AddStage{a, b}); }

  /// Random couplings, not equivariant: kernels do not care.
  StageIndex contraction(StageIndex x, const Irreps& out, int orders, int n_terms) {
    SymmetricContractionStage op;
    op.features = x;
    const std::int32_t d = component_count(irreps(x));
    for (std::size_t b = 0; b < out.size(); ++b) {
      for (int nu = 1; nu <= orders; ++nu) {
        ContractionTerm term;
        term.block = static_cast<std::int32_t>(b);
        term.nu = nu;
        for (int n = 0; n < n_terms; ++n) {
          term.indices.push_back({integer(out[b].components()),
                                  integer(3),
                                  integer(d),
                                  integer(d),
                                  integer(d),
                                  integer(d)});
        }
        term.values = tensor({n_terms}, 0.5);
        term.weights = tensor({n_species(), 3, out[b].channels}, 0.5);
        op.terms.push_back(std::move(term));
      }
    }
    return features(out, std::move(op));
  }

  StageIndex polynomial(StageIndex x, std::int32_t l_out, int orders) {
    SpherePolynomialStage op;
    op.features = x;
    const std::int32_t channels = irreps(x).front().channels;
    for (int nu = 1; nu <= orders; ++nu) {
      op.orders.push_back(tensor({n_species(), channels, l_out + 1}, 0.5));
    }
    return features(uniform_irreps(l_out, channels, spec_.parity == Parity::O3), std::move(op));
  }

  StageIndex gaunt_product(StageIndex a, StageIndex b, std::int32_t l_out, bool scaled, bool curl) {
    GauntProductStage op;
    op.a = a;
    op.b = b;
    const std::int32_t channels = irreps(a).front().channels;
    const auto scale = [&](std::int32_t l) { return tensor({l + 1, channels}, 1.0); };
    if (scaled) {
      op.scale_a = scale(irreps(a).back().l);
      op.scale_b = scale(irreps(b).back().l);
      op.scale_out = scale(l_out);
    }
    if (curl) {
      op.curl = scale(l_out);
    }
    return features(uniform_irreps(l_out, channels, spec_.parity == Parity::O3), std::move(op));
  }

  StageIndex gaunt_convolution(StageIndex x, StageIndex y, std::int32_t l_out) {
    const std::int32_t channels = irreps(x).front().channels;
    const StageIndex w = radial((spec_.graph[at(y)].l_max + 1) * channels);
    return features(uniform_irreps(l_out, channels, spec_.parity == Parity::O3),
                    GauntConvolutionStage{x, y, w});
  }

  /// Random factors, not equivariant: kernels do not care.
  StageIndex cp_convolution(StageIndex x, StageIndex y, std::int32_t l_out, std::int64_t rank) {
    CpConvolutionStage op;
    op.source = x;
    op.harmonics = y;
    const std::int32_t channels = irreps(x).front().channels;
    op.radial = radial(channels);
    const double deviation = 1.0 / std::cbrt(static_cast<double>(rank));
    op.source_factor = tensor({component_count(irreps(x)), rank}, deviation);
    op.harmonic_factor = tensor({sphere_components(spec_.graph[at(y)].l_max), rank}, deviation);
    op.out_factor = tensor({sphere_components(l_out), rank}, deviation);
    return features(uniform_irreps(l_out, channels, spec_.parity == Parity::O3), std::move(op));
  }

  /// last: the activation after both layers, in the middle silu where there is none.
  StageIndex readout(StageIndex x, Activation last = Activation::None) {
    ReadoutStage op;
    op.features = x;
    const std::int64_t n = irreps(x).front().channels;
    const Activation middle = last == Activation::None ? Activation::Silu : last;
    op.layers = {MlpLayer{tensor({7, n}, 0.5), std::nullopt, std::nullopt, middle},
                 MlpLayer{tensor({1, 7}, 0.5), std::nullopt, std::nullopt, last}};
    return add(ValueKind::Scalar, std::move(op));
  }

  StageIndex zbl() {
    ZblStage op;
    op.radius = tensor({n_species()}, 0.0);
    for (std::size_t k = 0; k < op.radius.values.size(); ++k) {
      op.radius.values[k] = 1.0 + 0.1 * static_cast<double>(k);
    }
    op.p = 6.0;
    op.screening_length = 0.4543 * 0.529;
    op.screening_exponent = 0.300;
    op.coefficients = {0.1818, 0.5099, 0.2802, 0.02817};
    op.exponents = {3.2, 0.9423, 0.4028, 0.2016};
    return add(ValueKind::Scalar, std::move(op));
  }

private:
  /// Fills `made` and the number of weights. Returns the blocks that the paths lead to.
  Irreps add_paths(const Irreps& in,
                   const PathList& paths,
                   std::vector<TensorProductPath>& made,
                   std::int32_t& n_weights) const {
    const bool o3 = spec_.parity == Parity::O3;
    std::vector<IrrepsBlock> targets;
    for (const auto& [b, l, l3] : paths) {
      const IrrepsBlock& source = in[at(b)];
      made.push_back({b, l, -1, source.channels, n_weights, 0});
      targets.push_back({l3, o3 && (source.odd != (l % 2 == 1)), source.channels});
      n_weights += source.channels;
    }
    Irreps out;
    for (const IrrepsBlock& target : targets) {
      if (find_block(out, target) < 0) {
        out.push_back({target.l, target.odd, 0});
      }
    }
    std::sort(out.begin(), out.end(), [](const IrrepsBlock& p, const IrrepsBlock& q) {
      return p.l != q.l ? p.l < q.l : !p.odd && q.odd;
    });
    for (std::size_t k = 0; k < targets.size(); ++k) {
      made[k].out = find_block(out, targets[k]);
      IrrepsBlock& block = out[at(made[k].out)];
      made[k].channel = block.channels;
      block.channels += targets[k].channels;
    }
    return out;
  }

  static std::size_t at(std::int64_t k) { return static_cast<std::size_t>(k); }

  std::int64_t n_species() const { return static_cast<std::int64_t>(spec_.species.size()); }

  std::int32_t integer(std::int32_t end) {
    return std::uniform_int_distribution<std::int32_t>(0, end - 1)(random_);
  }

  StageIndex add(ValueKind kind, decltype(Stage::op) op) {
    const auto index = static_cast<StageIndex>(spec_.graph.size());
    Stage stage;
    stage.output = "value" + std::to_string(index);
    stage.kind = kind;
    stage.op = std::move(op);
    spec_.graph.push_back(std::move(stage));
    return index;
  }

  std::mt19937 random_;
  ModelSpec spec_;
};

} // namespace eqnn::test
