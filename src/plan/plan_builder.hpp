// SPDX-License-Identifier: BSD-3-Clause
// A plan under construction. lower() of each model stage looks up its inputs here, and adds the
// values, tables and stages of the plan.
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
  /// cache: provides tables and receives new ones; may be null
  PlanBuilder(const ModelSpec& model, const Options& options, TableCache* cache = nullptr);

  /// Lowers the model's stages, one after another.
  Plan run();

  const ModelSpec& model() const { return model_; }

  const Options& options() const { return options_; }

  std::size_t n_species() const { return model_.species.size(); }

  /// A stage of the model.
  const eqnn::Stage& stage(StageIndex k) const { return model_.graph[static_cast<std::size_t>(k)]; }

  /// The stage that is being lowered.
  const eqnn::Stage& current() const { return stage(current_); }

  // ---- values ----

  ValueId new_value(const std::string& name, const std::vector<Block>& blocks);

  /// Makes the output value of the current stage, with the blocks of its irreps or with these
  /// blocks.
  ValueId output();
  ValueId output(const std::vector<Block>& blocks);

  const std::vector<Block>& blocks(StageIndex k) const;
  static std::vector<Block> blocks_of(const Irreps& irreps);
  bool same_layout(StageIndex a, StageIndex b) const;

  Input input(StageIndex k) const { return {index(k), Write::Add}; }

  /// An input for stages that read all components of uniform features at one stride: rows are only
  /// as wide as their channels need. If an edge product made wider rows, they are copied by an
  /// identity map.
  Input compact(StageIndex k);

  // ---- tables ----

  /// Index of the radial function, coupling or value that a model stage became.
  std::int32_t index(StageIndex k) const { return index_of_.at(k); }

  /// The current stage becomes this table, or an equal one that exists already.
  void current_is_coupling(Coupling coupling);
  void current_is_radial(RadialTable table);

  /// The table of the current stage: from the cache, or by tabulate().
  RadialTable tabulated(const RadialStage& radial);

  /// The index of a radial table with the channels of each segment padded, so that a SIMD loop over
  /// a segment reads zeros behind it. Fills `offset`: old first channel of each segment -> new
  /// first channel.
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

  /// Drops tables that no stage reads. Padding the channels of a table makes a new table.
  void drop_unused_radials();

  const ModelSpec& model_;
  const Options& options_;
  TableCache* cache_;
  Plan plan_;
  StageIndex current_ = 0;
  std::map<StageIndex, ValueId> compact_of_; ///< copies that compact() made
  std::map<StageIndex, std::int32_t> index_of_;
};

/// Turns a stage of a model into stages of a plan. Defined in plan/stages/NAME.cpp.
#define EQNN_LOWER(Type, name) void lower(const Type##Stage& op, PlanBuilder& build);
EQNN_MODEL_STAGES(EQNN_LOWER)
#undef EQNN_LOWER

} // namespace eqnn::plan
