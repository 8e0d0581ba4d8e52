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
      density()};
}

} // namespace eqnn::test
