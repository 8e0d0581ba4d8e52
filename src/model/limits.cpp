// SPDX-License-Identifier: BSD-3-Clause
#include "model/limits.hpp"

#include "base/error.hpp"

#include <cmath>

namespace eqnn {
namespace {

bool begins_at_an_interval(double start, double cutoff) {
  const double ratio = start / cutoff;
  for (std::int32_t n = 1; n <= kMostXplorParts; ++n) {
    if (std::abs(ratio * n - std::round(ratio * n)) < 1e-12 * n) {
      return true;
    }
  }
  return false;
}

} // namespace

void check_limits(const ModelSpec& spec) {
  for (std::size_t k = 0; k < spec.graph.size(); ++k) {
    const auto refuse = [&](const char* key, const auto&... parts) {
      fail(spec.file, ": /graph/", k, "/", key, ": ", parts...);
    };
    if (const auto* readout = std::get_if<ReadoutStage>(&spec.graph[k].op)) {
      if (readout->layers.size() > static_cast<std::size_t>(kMostReadoutLayers)) {
        refuse("layers",
               readout->layers.size(),
               " layers of a readout, expected at most ",
               kMostReadoutLayers,
               ". Train with fewer.");
      }
    } else if (const auto* radial = std::get_if<RadialStage>(&spec.graph[k].op)) {
      const Envelope& envelope = radial->envelope;
      if (envelope.kind == EnvelopeKind::Xplor &&
          !begins_at_an_interval(envelope.start, spec.cutoff)) {
        refuse("envelope/start",
               envelope.start,
               " of a cutoff of ",
               spec.cutoff,
               " Angstrom, expected a ratio of whole numbers up to ",
               kMostXplorParts,
               ". Export the model with a start rounded to 0.01 Angstrom.");
      }
    }
  }
}

} // namespace eqnn
