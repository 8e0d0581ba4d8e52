// SPDX-License-Identifier: BSD-3-Clause
#include "model/graph_reader.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace eqnn {
namespace {

/// Larger than any exact decomposition up to degree 6 needs.
constexpr std::int64_t kMaxRank = 4096;

/// Largest allowed coupling of degrees with an odd sum, relative to the largest entry. It allows
/// for rounding of the factors to single precision.
constexpr double kMostOfOtherParity = 1e-5;

/// The largest entry that couples degrees with an odd sum, and the largest of all entries.
std::pair<double, double> largest_entries(const CpConvolutionStage& op) {
  const auto rank = static_cast<std::size_t>(op.source_factor.shape[1]);
  const auto entry = [&](const Tensor& factor, std::size_t component, std::size_t r) {
    return factor.values[component * rank + r];
  };
  double odd = 0.0;
  double all = 0.0;
  std::vector<double> pair(rank);
  for (std::int32_t k = 0; k < op.out_factor.shape[0]; ++k) {
    for (std::int32_t j = 0; j < op.harmonic_factor.shape[0]; ++j) {
      for (std::size_t r = 0; r < rank; ++r) {
        pair[r] = entry(op.out_factor, static_cast<std::size_t>(k), r) *
                  entry(op.harmonic_factor, static_cast<std::size_t>(j), r);
      }
      for (std::int32_t i = 0; i < op.source_factor.shape[0]; ++i) {
        double sum = 0.0;
        for (std::size_t r = 0; r < rank; ++r) {
          sum += pair[r] * entry(op.source_factor, static_cast<std::size_t>(i), r);
        }
        all = std::max(all, std::abs(sum));
        if ((degree_of(i) + degree_of(j) + degree_of(k)) % 2 == 1) {
          odd = std::max(odd, std::abs(sum));
        }
      }
    }
  }
  return {odd, all};
}

} // namespace

void read(const JsonReader& entry, GraphReader& graph, CpConvolutionStage& op) {
  GraphReader::allow_attributes(entry, {"l_max"});
  const JsonReader inputs = GraphReader::inputs_of(entry, {"source", "harmonics", "radial"});
  op.source = graph.uniform(inputs, "source");
  op.harmonics = graph.harmonics_input(inputs);
  op.radial = graph.radial_input(inputs);
  const Stage& source = graph.stage_at(op.source);
  const std::int32_t l_filter = graph.stage_at(op.harmonics).l_max;
  if (graph.is_o3() && source.l_max > 0 && !graph.has_parity_of_harmonics(op.source)) {
    inputs.at("source").error(irreps_text(source.irreps),
                              ", expected the parities of the harmonics. Re-export the model.");
  }
  GraphReader::expect_equal(
      inputs.at("radial"), "channels", graph.stage_at(op.radial).channels, source.channels);
  const std::int32_t l_max =
      entry.at("l_max").integer(0, std::min(source.l_max + l_filter, kMaxDegree));
  const JsonReader weights =
      GraphReader::weights_of(entry, {"source_factor", "harmonic_factor", "out_factor"});
  op.source_factor =
      graph.weights().take(weights.at("source_factor"), {sphere_components(source.l_max), -1});
  const std::int64_t rank = op.source_factor.shape[1];
  if (rank < 1 || rank > kMaxRank) {
    weights.at("source_factor")
        .error("rank ", rank, ", expected 1 to ", kMaxRank, ". Re-export the model.");
  }
  op.harmonic_factor =
      graph.weights().take(weights.at("harmonic_factor"), {sphere_components(l_filter), rank});
  op.out_factor = graph.weights().take(weights.at("out_factor"), {sphere_components(l_max), rank});
  if (graph.is_o3()) {
    const auto [odd, all] = largest_entries(op);
    if (!(odd <= kMostOfOtherParity * all)) {
      weights.error("factors couple degrees with an odd sum by ",
                    odd / all,
                    " of the largest entry, expected none: the parity is \"o3\". Declare it as "
                    "\"so3\", or use "
                    "exact factors.");
    }
  }
  graph.make_irreps(uniform_irreps(l_max, source.channels, graph.is_o3()));
}

SpeciesTables species_tables(CpConvolutionStage&) { return {}; }

} // namespace eqnn
