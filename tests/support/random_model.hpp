// SPDX-License-Identifier: BSD-3-Clause
// Networks and structures with random numbers, of any size: for tests of kernels against the
// reference, and for benchmarks.
#pragma once

#include "eqnn/neighbors.hpp"
#include "model/model_spec.hpp"
#include "model/uniform_stages.hpp"

#include <cmath>
#include <random>
#include <string>
#include <utility>

namespace eqnn::test {

struct RandomModelOptions {
  int l_max = 2;
  int channels = 16;
  int heads = 4;
  int blocks = 2;
  int n_gaussians = 8;
  int radial_width = 16;
  double cutoff = 4.0;
  std::vector<std::int32_t> species = {1, 6, 8};
  bool envelope = false;
  std::uint32_t seed = 1;
};

/// An attention network: embedding, degree embedding, blocks of (norm, attention, norm, gated
/// linear maps), norm, readout.
class RandomModel {
public:
  explicit RandomModel(const RandomModelOptions& options)
      : o_(options)
      , random_(options.seed) {
    spec_.file = "random model";
    spec_.family = "random";
    spec_.species = o_.species;
    spec_.cutoff = o_.cutoff;
    spec_.l_max = o_.l_max;
    spec_.energy.scale.assign(o_.species.size(), 1.3);
    spec_.energy.shift = -0.7;
    spec_.energy.isolated_atoms_are_zero = true;
    for (std::size_t s = 0; s < o_.species.size(); ++s) {
      spec_.energy.reference.push_back(-1.0 - static_cast<double>(s));
    }
  }

  ModelSpec build() {
    const std::int32_t c = o_.channels;
    const StageIndex y = add(ValueKind::Harmonics, o_.l_max, 0, SphericalHarmonicsStage{o_.l_max});
    const std::int64_t d = (o_.l_max + 1) * (o_.l_max + 1);
    const StageIndex m = add(ValueKind::Matrix,
                             o_.l_max,
                             0,
                             EdgeMatrixStage{y, tensor({d, d, d}, 1.0 / static_cast<double>(d))});
    StageIndex x =
        add(ValueKind::Features,
            o_.l_max,
            c,
            SpeciesEmbeddingStage{o_.l_max,
                                  tensor({static_cast<std::int64_t>(o_.species.size()), c}, 1.0)});
    const StageIndex degree = add(
        ValueKind::Features, o_.l_max, c, DegreeEmbeddingStage{m, radial(), square(), vector()});
    x = sum(x, degree);
    for (int block = 0; block < o_.blocks; ++block) {
      const StageIndex n1 = norm(x);
      const StageIndex source = linear(n1, o_.l_max, true);
      const StageIndex center = linear(n1, o_.l_max, false);
      EdgeAttentionStage attention;
      attention.source = source;
      attention.center = center;
      attention.matrix = m;
      attention.radial = radial();
      attention.heads = o_.heads;
      attention.negative_slope = 0.2;
      attention.eps = 1e-16;
      attention.logit_weight = square();
      attention.logit_bias = vector();
      attention.logit_vector = tensor({o_.heads, c / o_.heads}, 1.0);
      attention.value_weight = square();
      attention.value_bias = vector();
      attention.gate_weight = square();
      attention.gate_bias = vector();
      const StageIndex messages = add(ValueKind::Features, o_.l_max, c, std::move(attention));
      x = sum(x, linear(messages, o_.l_max, true));
      const StageIndex n2 = norm(x);
      const StageIndex values = linear(n2, o_.l_max, true);
      const StageIndex gates = linear(n2, 0, true);
      x = sum(
          x,
          linear(add(ValueKind::Features, o_.l_max, c, uniform_gate(values, gates, o_.l_max, c)),
                 o_.l_max,
                 true));
    }
    const StageIndex final_norm = norm(x);
    ReadoutStage readout;
    readout.features = final_norm;
    readout.layers.resize(2);
    readout.layers[0] = MlpLayer{square(), vector(), std::nullopt, Activation::Silu};
    readout.layers[1] = MlpLayer{tensor({1, c}, 0.3), std::nullopt, std::nullopt, Activation::None};
    const StageIndex e = add(ValueKind::Scalar, 0, 0, std::move(readout));
    add(ValueKind::Energy, 0, 0, EnergyStage{{e}});
    return std::move(spec_);
  }

private:
  StageIndex
  add(ValueKind kind, std::int32_t l_max, std::int32_t channels, decltype(Stage::op) op) {
    const auto index = static_cast<StageIndex>(spec_.graph.size());
    const Irreps irreps =
        kind == ValueKind::Features ? uniform_irreps(l_max, channels, false) : Irreps{};
    spec_.graph.push_back(
        {"value" + std::to_string(index), kind, l_max, channels, irreps, std::move(op)});
    return index;
  }

  Tensor tensor(std::vector<std::int64_t> shape, double deviation) {
    std::int64_t n = 1;
    for (const std::int64_t extent : shape) {
      n *= extent;
    }
    Tensor out{std::move(shape), std::vector<double>(static_cast<std::size_t>(n))};
    std::normal_distribution<double> normal(0.0, deviation);
    for (double& value : out.values) {
      value = normal(random_);
    }
    return out;
  }

  Tensor square() {
    return tensor({o_.channels, o_.channels}, 1.0 / std::sqrt(static_cast<double>(o_.channels)));
  }

  Tensor vector() { return tensor({o_.channels}, 0.3); }

  StageIndex linear(StageIndex x, std::int32_t l_max, bool bias) {
    const Tensor weight = square();
    return add(ValueKind::Features,
               l_max,
               o_.channels,
               uniform_linear(x, l_max, weight, bias ? std::optional(vector()) : std::nullopt));
  }

  StageIndex norm(StageIndex x) {
    EquivariantNormStage op{x, 1e-5, tensor({o_.l_max + 1, o_.channels}, 0.5), vector()};
    for (double& value : op.scale.values) {
      value += 1.0;
    }
    return add(ValueKind::Features, o_.l_max, o_.channels, std::move(op));
  }

  StageIndex sum(StageIndex a, StageIndex b) {
    return add(ValueKind::Features, o_.l_max, o_.channels, AddStage{a, b});
  }

  StageIndex radial() {
    RadialStage op;
    const int n = o_.n_gaussians;
    GaussianBasis basis;
    for (int k = 0; k < n; ++k) {
      basis.center.values.push_back(o_.cutoff * (k + 0.5) / n);
      basis.width.values.push_back(o_.cutoff / n);
      basis.amplitude.values.push_back(1.0);
    }
    for (auto* t : {&basis.center, &basis.width, &basis.amplitude}) {
      t->shape = {n};
    }
    op.basis = std::move(basis);
    if (o_.envelope) {
      op.envelope.kind = EnvelopeKind::Polynomial;
      op.envelope.p = 5.0;
    }
    const std::int64_t w = o_.radial_width;
    const auto layer = [&](std::int64_t in) {
      LayerNorm layer_norm{tensor({w}, 0.3), tensor({w}, 0.3), 1e-5};
      return MlpLayer{
          tensor({w, in}, 0.5), tensor({w}, 0.3), std::move(layer_norm), Activation::Silu};
    };
    op.layers = {layer(n),
                 layer(w),
                 MlpLayer{tensor({o_.channels, w}, 0.5), vector(), std::nullopt, Activation::None}};
    return add(ValueKind::Radial, 0, o_.channels, std::move(op));
  }

  RandomModelOptions o_;
  std::mt19937 random_;
  ModelSpec spec_;
};

inline ModelSpec random_model(const RandomModelOptions& options) {
  return RandomModel(options).build();
}

struct Structure {
  std::vector<std::int32_t> numbers;
  std::vector<std::array<double, 3>> positions;
  std::optional<std::array<double, 9>> cell;
};

/// n atoms at random in a periodic box of density atoms/A^3, no two closer than min_distance
/// (Angstrom).
inline Structure random_structure(int n,
                                  const std::vector<std::int32_t>& species,
                                  double density,
                                  double min_distance,
                                  std::uint32_t seed) {
  std::mt19937 random(seed);
  const double side = std::cbrt(n / density);
  Structure s;
  s.cell = {side, 0.0, 0.0, 0.0, side, 0.0, 0.0, 0.0, side};
  std::uniform_real_distribution<double> coordinate(0.0, side);
  std::uniform_int_distribution<std::size_t> which(0, species.size() - 1);
  while (static_cast<int>(s.numbers.size()) < n) {
    const std::array<double, 3> x{coordinate(random), coordinate(random), coordinate(random)};
    bool free = true;
    for (const auto& y : s.positions) {
      double square = 0.0;
      for (std::size_t a = 0; a < 3; ++a) {
        const double delta = std::remainder(x[a] - y[a], side);
        square += delta * delta;
      }
      free = free && square > min_distance * min_distance;
    }
    if (free) {
      s.positions.push_back(x);
      s.numbers.push_back(species[which(random)]);
    }
  }
  return s;
}

inline EdgeList edges_of(const ModelSpec& model, const Structure& s) {
  return eqnn::edges_of(s.numbers, s.positions, s.cell, model.species, model.cutoff);
}

} // namespace eqnn::test
