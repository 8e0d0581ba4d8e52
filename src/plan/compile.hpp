// SPDX-License-Identifier: BSD-3-Clause
// Compiles a ModelSpec to a Plan, in passes that can be tested separately.
#pragma once

#include "model/model_spec.hpp"
#include "plan/plan.hpp"

#include <optional>

namespace eqnn::plan {

struct Options {
  /// Largest error of a radial table, relative to the largest value of the function.
  double radial_tolerance = 4e-15;
  std::int32_t radial_degree = 9;
  /// Channels are padded with zeros to a multiple of this (the SIMD width); buffers are sized
  /// accordingly.
  std::int32_t channel_multiple = 1;
  /// How products of functions on the sphere are computed; empty: the fastest method, by measured
  /// rates.
  std::optional<SphereMethod> products;
  /// How convolutions of functions on the sphere along edges are computed.
  std::optional<SphereMethod> convolutions;
  /// How factorized couplings are computed.
  std::optional<CouplingMethod> couplings;
  /// Size of a feature in bytes.
  std::int32_t scalar_bytes = 8;
  /// Fraction of the machine's peak that a sparse product of two functions is assumed to reach.
  double table_rate = 0.20;
};

/// lower -> fuse_residuals -> schedule
Plan compile(const ModelSpec& model, const Options& options);

/// Turns each stage of the model into stages of the plan. Equal couplings and equal radial
/// functions are stored once.
Plan lower(const ModelSpec& model, const Options& options);

/// Fuses a + W b into one stage if W b has no other use.
void fuse_residuals(Plan& plan);

/// Decides which values have rows on ghosts, and which stages overwrite adjoints or add to them.
/// Assigns buffers, so that values and adjoints that are alive together never share one.
void schedule(Plan& plan, std::int32_t channel_multiple);

/// Number of scalars in a row: all blocks, each with its channels padded.
std::int64_t width_of(const NodeValue& value, std::int32_t channel_multiple);

/// Makes a radial table. Throws Error if the tolerance cannot be reached (a function that varies
/// within 1/4096 of the cutoff). For a function that depends on species, that happens when a pair's
/// table is made.
RadialTable tabulate(const RadialStage& radial, double cutoff, const Options& options);

inline std::int32_t padded(std::int32_t channels, std::int32_t multiple) {
  return (channels + multiple - 1) / multiple * multiple;
}

} // namespace eqnn::plan
