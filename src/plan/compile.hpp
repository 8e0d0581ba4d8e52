// SPDX-License-Identifier: BSD-3-Clause
// ModelSpec -> Plan, in passes that can be tested one by one.
#pragma once

#include "model/model_spec.hpp"
#include "plan/plan.hpp"

#include <optional>

namespace eqnn::plan {

struct Options {
  /// Largest error of the radial tables, relative to the function's largest value.
  double radial_tolerance = 4e-15;
  std::int32_t radial_degree = 9;
  /// Channels are padded with zeros to a multiple of this (the SIMD width); buffers are sized
  /// accordingly.
  std::int32_t channel_multiple = 1;
  /// How products of functions on the sphere are computed; nothing: what is measured to be fastest.
  std::optional<SphereMethod> products;
  /// The same for their convolutions along edges.
  std::optional<SphereMethod> convolutions;
  /// How couplings that are given in factors are computed.
  std::optional<CouplingMethod> couplings;
  /// Of a feature.
  std::int32_t scalar_bytes = 8;
  /// Fraction of the machine's peak that the table of a product of two functions is taken to reach.
  double table_rate = 0.20;
};

/// lower -> fuse_residuals -> schedule
Plan compile(const ModelSpec& model, const Options& options);

/// Each stage of the model as a stage of the plan; equal couplings and equal radial functions are
/// stored once.
Plan lower(const ModelSpec& model, const Options& options);

/// a + W b becomes one stage, where W b is used by nothing else.
void fuse_residuals(Plan& plan);

/// Decides what has rows on ghosts, who overwrites and who adds adjoints, and gives values and adjoints buffers so that
/// those alive together never share one.
void schedule(Plan& plan, std::int32_t channel_multiple);

/// Scalars of a row: the blocks, each with its channels padded.
std::int64_t width_of(const NodeValue& value, std::int32_t channel_multiple);

/// Throws Error where the tolerance is out of reach (a function that varies within 1/4096 of the
/// cutoff); of a function that depends on species, when a pair's table is made.
RadialTable tabulate(const RadialStage& radial, double cutoff, const Options& options);

inline std::int32_t padded(std::int32_t channels, std::int32_t multiple) {
  return (channels + multiple - 1) / multiple * multiple;
}

} // namespace eqnn::plan
