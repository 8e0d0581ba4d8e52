// SPDX-License-Identifier: BSD-3-Clause
// Computing radial tables takes most of the time of compile(). Plans of one file, or of models cut
// from it, can share them.
#pragma once

#include "plan/compile.hpp"

#include <map>
#include <tuple>

namespace eqnn {

/// Holds tables that do not depend on species. Tables of pairs of species are not cached: they are
/// made when a pair first occurs.
struct TableCache {
  /// Stage of the graph, tolerance, degree.
  using Key = std::tuple<StageIndex, double, std::int32_t>;

  std::map<Key, plan::RadialTable> tables;
};

} // namespace eqnn

namespace eqnn::plan {

/// Like compile() without a cache. If cache is not null, uses its tables and adds new ones to it.
Plan compile(const ModelSpec& model, const Options& options, TableCache* cache);

} // namespace eqnn::plan
