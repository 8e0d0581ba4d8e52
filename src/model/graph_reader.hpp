// SPDX-License-Identifier: BSD-3-Clause
// Reads the graph of a model file. The reader of each stage gets its inputs and weights from here,
// and declares its output here. Private to src/model.
#pragma once

#include "model/json_reader.hpp"
#include "model/model_spec.hpp"
#include "model/stored_weights.hpp"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace eqnn {

inline constexpr std::int32_t kMaxChannels = 1 << 16;

/// Fills spec.graph and spec.n_parameters. The rest of spec must already be filled. Throws Error
/// for anything invalid, and for tensors that no stage uses.
void read_graph(const JsonReader& graph,
                const std::map<std::string, StoredTensor>& tensors,
                ModelSpec& spec);

/// The paths of a tensor product along edges.
struct TensorProductPaths {
  std::vector<TensorProductPath> paths;
  std::int64_t channels = 0; ///< of all paths together
  Irreps out;                ///< the blocks that they lead to
};

/// Reads the graph stage by stage, and keeps track of the values made so far. Every failed check
/// throws Error.
class GraphReader {
public:
  GraphReader(ModelSpec& spec, StoredWeights& weights)
      : spec_(spec)
      , weights_(weights)
      , is_o3_(spec.parity == Parity::O3) {}

  void read(const JsonReader& graph);

  const ModelSpec& spec() const { return spec_; }

  std::int64_t n_species() const { return static_cast<std::int64_t>(spec_.species.size()); }

  bool is_o3() const { return is_o3_; }

  StoredWeights& weights() { return weights_; }

  const Stage& stage_at(StageIndex index) const {
    return spec_.graph[static_cast<std::size_t>(index)];
  }

  // ---- parts of an entry ----

  static void allow_attributes(const JsonReader& entry, std::set<std::string> attributes);
  static JsonReader inputs_of(const JsonReader& entry, const std::set<std::string>& keys);
  static JsonReader weights_of(const JsonReader& entry, const std::set<std::string>& keys);

  // ---- inputs ----

  StageIndex input(const JsonReader& name, ValueKind kind, const char* kind_name);
  StageIndex features(const JsonReader& inputs, const char* key);
  /// Features with the same number of channels for each degree 0..l_max.
  StageIndex uniform(const JsonReader& inputs, const char* key);
  /// Features with any blocks that all have the same number of channels.
  StageIndex equal_channels(const JsonReader& inputs, const char* key);
  StageIndex harmonics_input(const JsonReader& inputs);
  StageIndex radial_input(const JsonReader& inputs);
  StageIndex edge_matrix_input(const JsonReader& inputs);

  /// Whether the parity of each block is that of the harmonics of its degree; otherwise, all are
  /// even.
  bool has_parity_of_harmonics(StageIndex index) const;

  // ---- output of the stage ----

  Stage& made() { return *made_; }

  /// `channels` for each degree up to l_max.
  void make_features(std::int32_t l_max, std::int64_t channels);
  void make_irreps(Irreps irreps);

  // ---- checks and parts shared by several stages ----

  static void expect_equal(const JsonReader& where,
                           const char* what,
                           std::int64_t found,
                           std::int64_t expected);
  static std::int64_t
  checked_channels(const JsonReader& where, const Tensor& weight, std::size_t axis);
  void check_block(const JsonReader& where, const IrrepsBlock& block) const;

  /// The attribute `irreps`: the blocks of the output.
  Irreps irreps_attribute(const JsonReader& entry) const;
  /// The position in irreps of a block named like "1o".
  static std::int32_t block_of(const JsonReader& name, const Irreps& irreps);

  static Activation activation(const JsonReader& entry, const std::set<std::string>& allowed);
  /// words: the activations that the stage supports.
  std::vector<MlpLayer>
  layers(const JsonReader& list, std::int64_t n_in, const std::set<std::string>& words);
  /// source: the blocks that paths start from. l_max: of the harmonics.
  TensorProductPaths paths(const JsonReader& list, const Irreps& source, std::int32_t l_max) const;
  /// Reads the eps that keeps the inverse of a norm finite.
  static double norm_eps(const JsonReader& entry);
  /// Reads the order of a polynomial envelope.
  static double polynomial_order(const JsonReader& entry);

private:
  void read_stage(const JsonReader& entry);
  void check_ends(const JsonReader& graph) const;

  ModelSpec& spec_;
  StoredWeights& weights_;
  bool is_o3_;
  Stage* made_ = nullptr;
  std::set<std::string> names_in_file_;
  std::map<std::string, StageIndex> index_of_;
  std::vector<std::int64_t> n_uses_;
};

/// Fills `op` from a stage of the file and declares its output with make_*(). Each overload is
/// defined in model/stages/NAME.cpp.
#define EQNN_READ(Type, name)                                                                      \
  void read(const JsonReader& entry, GraphReader& graph, Type##Stage& op);
EQNN_MODEL_STAGES(EQNN_READ)
#undef EQNN_READ

/// A weight that has a row for each species.
struct SpeciesTable {
  Tensor* tensor = nullptr;
  std::int32_t axes = 1; ///< number of leading axes that count species
};

using SpeciesTables = std::vector<SpeciesTable>;

/// Lists all such tables of a stage, so that a model can be cut to some of its species
/// (model/cut_species.hpp). Each overload is defined in model/stages/NAME.cpp.
#define EQNN_SPECIES_TABLES(Type, name) SpeciesTables species_tables(Type##Stage& op);
EQNN_MODEL_STAGES(EQNN_SPECIES_TABLES)
#undef EQNN_SPECIES_TABLES

} // namespace eqnn
