// SPDX-License-Identifier: BSD-3-Clause
// Making radial tables takes most of the time of making a plan. Plans of one file, or of models cut
// from it, share them.
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

/// As compile(). If there is a cache, uses its tables, and adds the ones that it makes.
Plan compile(const ModelSpec& model, const Options& options, TableCache* cache);

} // namespace eqnn::plan
