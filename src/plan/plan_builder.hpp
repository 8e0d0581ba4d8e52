// SPDX-License-Identifier: BSD-3-Clause
// A plan while stages of the model become stages of it: where lower() of each stage finds its inputs
// and puts what it makes.
#pragma once

#include "model/model_spec.hpp"
#include "plan/compile.hpp"
#include "plan/plan.hpp"

#include <map>
#include <vector>

namespace eqnn {
struct TableCache;
}

namespace eqnn::plan {

class PlanBuilder {
public:
  /// cache: of tables that are there and that it makes; or null
  PlanBuilder(const ModelSpec& model, const Options& options, TableCache* cache = nullptr);

  /// Lowers the model's stages, one after another.
  Plan run();

  const ModelSpec& model() const { return model_; }

  const Options& options() const { return options_; }

  std::size_t n_species() const { return model_.species.size(); }

  /// A stage of the model.
  const eqnn::Stage& stage(StageIndex k) const { return model_.graph[static_cast<std::size_t>(k)]; }

  /// The one whose turn it is.
  const eqnn::Stage& current() const { return stage(current_); }

  // ---- values ----

  ValueId new_value(const std::string& name, const std::vector<Block>& blocks);

  /// The value that the current stage makes: with the blocks of its irreps, or with these.
  ValueId output();
  ValueId output(const std::vector<Block>& blocks);

  const std::vector<Block>& blocks(StageIndex k) const;
  static std::vector<Block> blocks_of(const Irreps& irreps);
  bool same_layout(StageIndex a, StageIndex b) const;

  Input input(StageIndex k) const { return {index(k), Write::Add}; }

  /// For stages that read all components of uniform features at one stride: rows as wide as their
  /// channels need. What an edge product left wider is copied, by a map that changes nothing.
  Input compact(StageIndex k);

  // ---- tables ----

  /// The radial function, coupling or value that a stage of the model became.
  std::int32_t index(StageIndex k) const { return index_of_.at(k); }

  /// The current stage became an equal table that is there already, or this one.
  void current_is_coupling(Coupling coupling);
  void current_is_radial(RadialTable table);

  /// tabulate() of the current stage, if its table is not there.
  RadialTable tabulated(const RadialStage& radial);

  /// The radial table with each segment's channels padded, so that a SIMD loop over one reads zeros
  /// behind it; `offset`: of the old first channel of each segment to the new one.
  std::int32_t segmented(std::int32_t radial,
                         const std::map<std::int32_t, std::int32_t>& segments,
                         std::map<std::int32_t, std::int32_t>& offset);

  void need_harmonics(std::int32_t components);

  void note_product(SphereMethod method) { plan_.products.push_back(method); }

  void note_coupling(CouplingMethod method) { plan_.factored.push_back(method); }

  void note_convolution(SphereMethod method) { plan_.convolutions.push_back(method); }

  // ---- stages ----

  void add(Stage stage) { plan_.stages.push_back(std::move(stage)); }

private:
  std::int32_t add_radial(RadialTable table);

  /// Those that no stage reads: a table whose channels were padded is another one.
  void drop_unused_radials();

  const ModelSpec& model_;
  const Options& options_;
  TableCache* cache_;
  Plan plan_;
  StageIndex current_ = 0;
  std::map<StageIndex, ValueId> compact_of_; ///< copies that compact() made
  std::map<StageIndex, std::int32_t> index_of_;
};

/// Each stage of a model as stages of a plan; every one is defined in plan/stages/NAME.cpp.
#define EQNN_LOWER(Type, name) void lower(const Type##Stage& op, PlanBuilder& build);
EQNN_MODEL_STAGES(EQNN_LOWER)
#undef EQNN_LOWER

} // namespace eqnn::plan
