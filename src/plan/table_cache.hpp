// SPDX-License-Identifier: BSD-3-Clause
// Radial tables take most of the time of making a plan. Plans of one file, or of parts that were cut from
// it, make them once.
#pragma once

#include "plan/compile.hpp"

#include <map>
#include <tuple>

namespace eqnn {

/// The tables for all species; of pairs they are made when a pair first occurs.
struct TableCache {
  /// Stage of the graph, tolerance, degree.
  using Key = std::tuple<StageIndex, double, std::int32_t>;

  std::map<Key, plan::RadialTable> tables;
};

} // namespace eqnn

namespace eqnn::plan {

/// As compile(); where there is a cache, takes the tables that are there, and leaves those that it makes.
Plan compile(const ModelSpec& model, const Options& options, TableCache* cache);

} // namespace eqnn::plan
