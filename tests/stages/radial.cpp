// SPDX-License-Identifier: BSD-3-Clause
#include "stages/stage_case.hpp"

namespace eqnn::test {
namespace {

StageCase of_species(const std::string& name, GraphBuilder::OfSpecies what) {
  return one_stage(name, Parity::O3, 3, [what](GraphBuilder& b) {
    b.of_species = what;
    return b.radial(7);
  });
}

/// tanh(x^2) behind the last layer, as a density has it.
StageCase density() {
  return one_stage("density", Parity::O3, 3, [](GraphBuilder& b) {
    const StageIndex k = b.radial(1);
    auto op = std::get<RadialStage>(b.stage(k).op);
    op.layers.back().activation = Activation::TanhSquare;
    return b.add_radial(std::move(op));
  });
}

StageCase chebyshev() {
  return one_stage("chebyshev", Parity::O3, 3, [](GraphBuilder& b) {
    const StageIndex k = b.radial(7);
    auto op = std::get<RadialStage>(b.stage(k).op);
    const std::int64_t n = op.layers.front().weight.shape[1];
    op.basis = ChebyshevBasis{b.tensor({n}, 0.1)};
    op.transform = AgnesiTransform{Tensor{{3}, {0.31, 0.76, 0.66}}, 1.0805, 0.9183, 4.5791};
    return b.add_radial(std::move(op));
  });
}

/// Each with its own power of the distance, as harmonics that are not normalized have.
StageCase powers() {
  return one_stage("powers", Parity::O3, 3, [](GraphBuilder& b) {
    const StageIndex k = b.radial(5);
    auto op = std::get<RadialStage>(b.stage(k).op);
    op.powers = {0, 2, 1, 0, 3};
    return b.add_radial(std::move(op));
  });
}

StageCase pair_cutoffs() {
  return one_stage("pair_cutoffs", Parity::O3, 3, [](GraphBuilder& b) {
    const StageIndex k = b.radial(5);
    auto op = std::get<RadialStage>(b.stage(k).op);
    const Tensor cutoff{{3, 3}, {2.0, 3.0, 4.0, 3.5, 4.0, 2.5, 4.0, 3.0, 3.0}};
    op.transform = PairCutoffs{cutoff, parts_to_all(cutoff.values, 4.0)};
    return b.add_radial(std::move(op));
  });
}

StageCase hidden(const std::string& name, Activation function) {
  return one_stage(name, Parity::O3, 3, [function](GraphBuilder& b) {
    const StageIndex k = b.radial(7);
    auto op = std::get<RadialStage>(b.stage(k).op);
    op.layers.front().activation = function;
    return b.add_radial(std::move(op));
  });
}

} // namespace

std::vector<StageCase> radial_cases() {
  return {
      one_stage("polynomial", Parity::O3, 3, [](GraphBuilder& b) { return b.radial(7); }),
      one_stage(
          "xplor", Parity::O3, 3, [](GraphBuilder& b) { return b.radial(5, EnvelopeKind::Xplor); }),
      one_stage("no_envelope",
                Parity::O3,
                3,
                [](GraphBuilder& b) { return b.radial(3, EnvelopeKind::None); }),
      of_species("agnesi", GraphBuilder::OfSpecies::Agnesi),
      of_species("soft", GraphBuilder::OfSpecies::Soft),
      of_species("species_terms", GraphBuilder::OfSpecies::Terms),
      density(),
      chebyshev(),
      powers(),
      pair_cutoffs(),
      hidden("tanh", Activation::Tanh),
      hidden("gelu", Activation::Gelu),
      hidden("mish", Activation::Mish),
      hidden("shifted_softplus", Activation::ShiftedSoftplus)};
}

} // namespace eqnn::test
