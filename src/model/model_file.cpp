// SPDX-License-Identifier: BSD-3-Clause
// Format: docs/spec/model_file.md. Everything is checked here, so that nothing later has to doubt a
// ModelSpec.
#include "model/model_file.hpp"

#include "base/elements.hpp"
#include "base/error.hpp"
#include "base/sha256.hpp"
#include "model/json_reader.hpp"
#include "model/safetensors.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

namespace eqnn {
namespace {

constexpr std::int32_t kFormatVersion = 1;
constexpr std::int32_t kMaxL = 10;
constexpr std::int32_t kMaxChannels = 1 << 16;

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (std::size_t k = 0; k < shape.size(); ++k) {
    text += (k == 0 ? "" : ", ") + std::to_string(shape[k]);
  }
  return text + "]";
}

/// Hands out the file's tensors by name, checks them, and knows at the end which were never asked
/// for.
class Weights {
public:
  Weights(const std::map<std::string, StoredTensor>& tensors, std::string file)
      : tensors_(tensors)
      , file_(std::move(file)) {}

  /// Extents that are not known yet are given as -1.
  Tensor take(const JsonReader& name, const std::vector<std::int64_t>& expected) {
    const std::string key = name.string();
    const auto found = tensors_.find(key);
    if (found == tensors_.end()) {
      name.error(
          "tensor \"", JsonReader::printable(key), "\" is not in the file. Re-export the model.");
    }
    const StoredTensor& stored = found->second;
    if (stored.dtype != "F64" && stored.dtype != "F32") {
      name.error("tensor \"",
                 JsonReader::printable(key),
                 "\" has type ",
                 stored.dtype,
                 ", expected F64 or F32. Re-export the model.");
    }
    const auto& shape = stored.tensor.shape;
    bool fits = shape.size() == expected.size();
    for (std::size_t k = 0; fits && k < shape.size(); ++k) {
      fits = shape[k] > 0 && (expected[k] < 0 || shape[k] == expected[k]);
    }
    if (!fits) {
      name.error("tensor \"",
                 JsonReader::printable(key),
                 "\" has shape ",
                 shape_text(shape),
                 ", expected ",
                 shape_text(expected),
                 expected_note(expected),
                 ". Re-export the model.");
    }
    const auto bad = std::find_if(stored.tensor.values.begin(),
                                  stored.tensor.values.end(),
                                  [](double v) { return !std::isfinite(v); });
    if (bad != stored.tensor.values.end()) {
      name.error("tensor \"",
                 JsonReader::printable(key),
                 "\" holds ",
                 *bad,
                 " at flat index ",
                 bad - stored.tensor.values.begin(),
                 ". The training diverged or the file is damaged: export it again.");
    }
    used_.insert(key);
    return stored.tensor;
  }

  std::int64_t check_all_used() const {
    std::int64_t n_parameters = 0;
    for (const auto& [key, stored] : tensors_) {
      if (used_.count(key) == 0) {
        fail(file_,
             ": /graph: tensor \"",
             JsonReader::printable(key),
             "\" is used by no stage. Re-export the model with this version of eqnn.");
      }
      n_parameters += stored.tensor.size();
    }
    return n_parameters;
  }

private:
  static std::string expected_note(const std::vector<std::int64_t>& expected) {
    const bool open =
        std::any_of(expected.begin(), expected.end(), [](std::int64_t n) { return n < 0; });
    return open ? " (-1: any)" : "";
  }

  const std::map<std::string, StoredTensor>& tensors_;
  std::string file_;
  std::set<std::string> used_;
};

std::int64_t components(std::int32_t l_max) { return std::int64_t{l_max + 1} * (l_max + 1); }

/// Reads the graph stage by stage; knows the values made so far.
class GraphReader {
public:
  GraphReader(ModelSpec& spec, Weights& weights)
      : spec_(spec)
      , weights_(weights) {}

  void read(const JsonReader& graph) {
    const auto entries = graph.elements();
    for (const auto& entry : entries) {
      names_in_file_.insert(entry.at("output").string());
    }
    for (const auto& entry : entries) {
      read_stage(entry);
    }
    check_ends(graph);
  }

private:
  void read_stage(const JsonReader& entry) {
    static const std::map<std::string, void (GraphReader::*)(const JsonReader&, Stage&)> kReaders{
        {"spherical_harmonics", &GraphReader::spherical_harmonics},
        {"edge_matrix", &GraphReader::edge_matrix},
        {"radial", &GraphReader::radial},
        {"species_embedding", &GraphReader::species_embedding},
        {"degree_embedding", &GraphReader::degree_embedding},
        {"add", &GraphReader::add},
        {"equivariant_norm", &GraphReader::equivariant_norm},
        {"linear", &GraphReader::linear},
        {"gate", &GraphReader::gate},
        {"edge_attention", &GraphReader::edge_attention},
        {"readout", &GraphReader::readout},
        {"direct_forces", &GraphReader::direct_forces},
        {"energy", &GraphReader::energy}};
    const std::string op = entry.at("op").string();
    const auto reader = kReaders.find(op);
    if (reader == kReaders.end()) {
      entry.at("op").error("unknown stage \"",
                           JsonReader::printable(op),
                           "\". Update eqnn, or export with this version.");
    }
    Stage stage;
    stage.output = entry.at("output").string();
    if (stage.output.empty() || index_of_.count(stage.output) != 0) {
      entry.at("output").error(
          "output \"",
          JsonReader::printable(stage.output),
          "\" is empty or made twice, expected a name of its own. Re-export the model.");
    }
    (this->*reader->second)(entry, stage);
    index_of_[stage.output] = static_cast<StageIndex>(spec_.graph.size());
    spec_.graph.push_back(std::move(stage));
    n_uses_.push_back(0);
  }

  // ---- inputs ----

  StageIndex input(const JsonReader& name, ValueKind kind, const char* kind_name) {
    const std::string key = name.string();
    const auto found = index_of_.find(key);
    if (found == index_of_.end()) {
      if (names_in_file_.count(key) != 0) {
        name.error("\"",
                   JsonReader::printable(key),
                   "\" is made by this or a later stage, expected an earlier one (the graph has a "
                   "cycle or is out of order). "
                   "Re-export the model.");
      }
      name.error(
          "\"", JsonReader::printable(key), "\" is the output of no stage. Re-export the model.");
    }
    if (spec_.graph[static_cast<std::size_t>(found->second)].kind != kind) {
      name.error("\"",
                 JsonReader::printable(key),
                 "\" is not ",
                 kind_name,
                 ", as expected here. Re-export the model.");
    }
    ++n_uses_[static_cast<std::size_t>(found->second)];
    return found->second;
  }

  const Stage& stage_at(StageIndex index) const {
    return spec_.graph[static_cast<std::size_t>(index)];
  }

  StageIndex features(const JsonReader& inputs, const char* key) {
    return input(inputs.at(key), ValueKind::Features, "node features");
  }

  StageIndex edge_matrix_input(const JsonReader& inputs, std::int32_t l_max) {
    const StageIndex matrix = input(inputs.at("matrix"), ValueKind::Matrix, "an edge matrix");
    expect_equal(inputs.at("matrix"), "l_max", stage_at(matrix).l_max, l_max);
    return matrix;
  }

  StageIndex radial_input(const JsonReader& inputs) {
    return input(inputs.at("radial"), ValueKind::Radial, "a radial function");
  }

  static void expect_equal(const JsonReader& where,
                           const char* what,
                           std::int64_t found,
                           std::int64_t expected) {
    if (found != expected) {
      where.error(what, " is ", found, ", expected ", expected, ". Re-export the model.");
    }
  }

  static JsonReader inputs_of(const JsonReader& entry, const std::set<std::string>& keys) {
    JsonReader inputs = entry.at("inputs");
    inputs.allow_only(keys);
    for (const auto& key : keys) {
      (void)inputs.at(key);
    }
    return inputs;
  }

  static JsonReader weights_of(const JsonReader& entry, const std::set<std::string>& keys) {
    JsonReader weights = entry.at("weights");
    weights.allow_only(keys);
    return weights;
  }

  static void allow_attributes(const JsonReader& entry, std::set<std::string> attributes) {
    attributes.insert({"op", "output", "inputs", "weights"});
    entry.allow_only(attributes);
  }

  static void make_features(Stage& stage, std::int32_t l_max, std::int64_t channels) {
    stage.kind = ValueKind::Features;
    stage.l_max = l_max;
    stage.channels = static_cast<std::int32_t>(channels);
  }

  std::int64_t
  checked_channels(const JsonReader& where, const Tensor& weight, std::size_t axis) const {
    if (weight.shape[axis] > kMaxChannels) {
      where.error(weight.shape[axis],
                  " channels, expected at most ",
                  kMaxChannels,
                  ". Re-export the model.");
    }
    return weight.shape[axis];
  }

  // ---- one reader per stage ----

  void spherical_harmonics(const JsonReader& entry, Stage& stage) {
    allow_attributes(entry, {"l_max"});
    inputs_of(entry, {});
    weights_of(entry, {});
    const std::int32_t l_max = entry.at("l_max").integer(0, spec_.l_max);
    stage.kind = ValueKind::Harmonics;
    stage.l_max = l_max;
    stage.op = SphericalHarmonicsStage{l_max};
  }

  void edge_matrix(const JsonReader& entry, Stage& stage) {
    allow_attributes(entry, {});
    EdgeMatrixStage op;
    op.harmonics = input(inputs_of(entry, {"harmonics"}).at("harmonics"),
                         ValueKind::Harmonics,
                         "spherical harmonics");
    stage.kind = ValueKind::Matrix;
    stage.l_max = stage_at(op.harmonics).l_max;
    const std::int64_t d = components(stage.l_max);
    op.coupling = weights_.take(weights_of(entry, {"coupling"}).at("coupling"), {d, d, d});
    stage.op = std::move(op);
  }

  std::vector<MlpLayer> layers(const JsonReader& list, std::int64_t n_in) {
    std::vector<MlpLayer> layers;
    for (const auto& entry : list.elements()) {
      entry.allow_only({"weight", "bias", "layer_norm", "activation"});
      MlpLayer layer;
      layer.weight = weights_.take(entry.at("weight"), {-1, n_in});
      const std::int64_t n_out = checked_channels(entry.at("weight"), layer.weight, 0);
      if (!entry.at("bias").is_null()) {
        layer.bias = weights_.take(entry.at("bias"), {n_out});
      }
      if (const JsonReader norm = entry.at("layer_norm"); !norm.is_null()) {
        norm.allow_only({"scale", "shift", "eps"});
        layer.layer_norm = LayerNorm{weights_.take(norm.at("scale"), {n_out}),
                                     weights_.take(norm.at("shift"), {n_out}),
                                     norm.at("eps").positive()};
      }
      layer.activation = entry.at("activation").word({"none", "silu"}) == "silu" ? Activation::Silu
                                                                                 : Activation::None;
      layers.push_back(std::move(layer));
      n_in = n_out;
    }
    if (layers.empty()) {
      list.error("no layer, expected at least one. Re-export the model.");
    }
    return layers;
  }

  void radial(const JsonReader& entry, Stage& stage) {
    allow_attributes(entry, {"basis", "envelope", "layers"});
    inputs_of(entry, {});
    weights_of(entry, {});
    RadialStage op;
    const JsonReader basis = entry.at("basis");
    (void)basis.at("kind").word({"gaussian"});
    basis.allow_only({"kind", "center", "width", "amplitude"});
    op.basis.center = weights_.take(basis.at("center"), {-1});
    const std::int64_t n = checked_channels(basis.at("center"), op.basis.center, 0);
    op.basis.width = weights_.take(basis.at("width"), {n});
    op.basis.amplitude = weights_.take(basis.at("amplitude"), {n});
    for (const double width : op.basis.width.values) {
      if (!(width > 0.0)) {
        basis.at("width").error(
            "a width of ", width, " Angstrom, expected a positive one. Re-export the model.");
      }
    }
    const JsonReader envelope = entry.at("envelope");
    if (envelope.at("kind").word({"none", "polynomial"}) == "polynomial") {
      envelope.allow_only({"kind", "p"});
      op.envelope.kind = EnvelopeKind::Polynomial;
      op.envelope.p = envelope.at("p").number();
      if (!(op.envelope.p >= 2.0)) {
        envelope.at("p").error(
            "found ", op.envelope.p, ", expected at least 2. Re-export the model.");
      }
    } else {
      envelope.allow_only({"kind"});
    }
    op.layers = layers(entry.at("layers"), n);
    stage.kind = ValueKind::Radial;
    stage.channels = static_cast<std::int32_t>(op.layers.back().weight.shape[0]);
    stage.op = std::move(op);
  }

  void species_embedding(const JsonReader& entry, Stage& stage) {
    allow_attributes(entry, {"l_max"});
    inputs_of(entry, {});
    SpeciesEmbeddingStage op;
    op.l_max = entry.at("l_max").integer(0, spec_.l_max);
    const JsonReader table = weights_of(entry, {"table"}).at("table");
    op.table = weights_.take(table, {static_cast<std::int64_t>(spec_.species.size()), -1});
    make_features(stage, op.l_max, checked_channels(table, op.table, 1));
    stage.op = std::move(op);
  }

  void degree_embedding(const JsonReader& entry, Stage& stage) {
    allow_attributes(entry, {});
    const JsonReader inputs = inputs_of(entry, {"matrix", "radial"});
    DegreeEmbeddingStage op;
    op.matrix = input(inputs.at("matrix"), ValueKind::Matrix, "an edge matrix");
    op.radial = radial_input(inputs);
    const JsonReader weights = weights_of(entry, {"weight", "bias"});
    op.weight = weights_.take(weights.at("weight"), {-1, stage_at(op.radial).channels});
    const std::int64_t channels = checked_channels(weights.at("weight"), op.weight, 0);
    op.bias = weights_.take(weights.at("bias"), {channels});
    make_features(stage, stage_at(op.matrix).l_max, channels);
    stage.op = std::move(op);
  }

  void add(const JsonReader& entry, Stage& stage) {
    allow_attributes(entry, {});
    const JsonReader inputs = inputs_of(entry, {"a", "b"});
    weights_of(entry, {});
    const AddStage op{features(inputs, "a"), features(inputs, "b")};
    expect_equal(inputs.at("b"), "l_max", stage_at(op.b).l_max, stage_at(op.a).l_max);
    expect_equal(inputs.at("b"), "channels", stage_at(op.b).channels, stage_at(op.a).channels);
    make_features(stage, stage_at(op.a).l_max, stage_at(op.a).channels);
    stage.op = op;
  }

  void equivariant_norm(const JsonReader& entry, Stage& stage) {
    allow_attributes(entry, {"eps"});
    EquivariantNormStage op;
    op.features = features(inputs_of(entry, {"features"}), "features");
    op.eps = entry.at("eps").positive();
    const Stage& x = stage_at(op.features);
    const JsonReader weights = weights_of(entry, {"scale", "shift"});
    op.scale = weights_.take(weights.at("scale"), {x.l_max + 1, x.channels});
    op.shift = weights_.take(weights.at("shift"), {x.channels});
    make_features(stage, x.l_max, x.channels);
    stage.op = std::move(op);
  }

  void linear(const JsonReader& entry, Stage& stage) {
    allow_attributes(entry, {"l_max"});
    LinearStage op;
    op.features = features(inputs_of(entry, {"features"}), "features");
    const Stage& x = stage_at(op.features);
    op.l_max = entry.at("l_max").integer(0, x.l_max);
    const JsonReader weights = weights_of(entry, {"weight", "bias"});
    op.weight = weights_.take(weights.at("weight"), {-1, x.channels});
    const std::int64_t channels = checked_channels(weights.at("weight"), op.weight, 0);
    if (weights.value().contains("bias")) {
      op.bias = weights_.take(weights.at("bias"), {channels});
    }
    make_features(stage, op.l_max, channels);
    stage.op = std::move(op);
  }

  void gate(const JsonReader& entry, Stage& stage) {
    allow_attributes(entry, {});
    weights_of(entry, {});
    const JsonReader inputs = inputs_of(entry, {"features", "gates"});
    const GateStage op{features(inputs, "features"), features(inputs, "gates")};
    expect_equal(inputs.at("gates"), "l_max", stage_at(op.gates).l_max, 0);
    expect_equal(inputs.at("gates"),
                 "channels",
                 stage_at(op.gates).channels,
                 stage_at(op.features).channels);
    make_features(stage, stage_at(op.features).l_max, stage_at(op.features).channels);
    stage.op = op;
  }

  void edge_attention(const JsonReader& entry, Stage& stage) {
    allow_attributes(entry, {"heads", "negative_slope", "eps"});
    const JsonReader inputs = inputs_of(entry, {"source", "center", "matrix", "radial"});
    EdgeAttentionStage op;
    op.source = features(inputs, "source");
    op.center = features(inputs, "center");
    const std::int32_t l_max = stage_at(op.source).l_max;
    const std::int32_t channels = stage_at(op.source).channels;
    expect_equal(inputs.at("center"), "l_max", stage_at(op.center).l_max, l_max);
    expect_equal(inputs.at("center"), "channels", stage_at(op.center).channels, channels);
    op.matrix = edge_matrix_input(inputs, l_max);
    op.radial = radial_input(inputs);
    expect_equal(inputs.at("radial"), "channels", stage_at(op.radial).channels, channels);
    op.heads = entry.at("heads").integer(1, channels);
    if (channels % op.heads != 0) {
      entry.at("heads").error(
          op.heads, " heads do not divide ", channels, " channels. Re-export the model.");
    }
    op.negative_slope = entry.at("negative_slope").number();
    op.eps = entry.at("eps").number();
    if (!(op.eps >= 0.0)) {
      entry.at("eps").error("found ", op.eps, ", expected 0 or more. Re-export the model.");
    }
    const JsonReader weights = weights_of(entry,
                                          {"logit_weight",
                                           "logit_bias",
                                           "logit_vector",
                                           "value_weight",
                                           "value_bias",
                                           "gate_weight",
                                           "gate_bias"});
    op.logit_weight = weights_.take(weights.at("logit_weight"), {channels, channels});
    op.logit_bias = weights_.take(weights.at("logit_bias"), {channels});
    op.logit_vector = weights_.take(weights.at("logit_vector"), {op.heads, channels / op.heads});
    op.value_weight = weights_.take(weights.at("value_weight"), {channels, channels});
    op.value_bias = weights_.take(weights.at("value_bias"), {channels});
    op.gate_weight = weights_.take(weights.at("gate_weight"), {channels, channels});
    op.gate_bias = weights_.take(weights.at("gate_bias"), {channels});
    make_features(stage, l_max, channels);
    stage.op = std::move(op);
  }

  void readout(const JsonReader& entry, Stage& stage) {
    allow_attributes(entry, {"layers"});
    weights_of(entry, {});
    ReadoutStage op;
    op.features = features(inputs_of(entry, {"features"}), "features");
    op.layers = layers(entry.at("layers"), stage_at(op.features).channels);
    expect_equal(entry.at("layers"),
                 "the last layer's number of outputs",
                 op.layers.back().weight.shape[0],
                 1);
    for (const auto& layer : op.layers) {
      if (layer.layer_norm) {
        entry.at("layers").error("layer_norm in a readout, expected null: this version has none "
                                 "there. Re-export the model.");
      }
    }
    stage.kind = ValueKind::Scalar;
    stage.op = std::move(op);
  }

  void direct_forces(const JsonReader& entry, Stage& stage) {
    allow_attributes(entry, {});
    weights_of(entry, {});
    const JsonReader inputs = inputs_of(entry, {"features"});
    const DirectForcesStage op{features(inputs, "features")};
    expect_equal(inputs.at("features"), "channels", stage_at(op.features).channels, 1);
    if (stage_at(op.features).l_max < 1) {
      inputs.at("features")
          .error("l_max is 0, expected at least 1 (forces are vectors). Re-export the model.");
    }
    stage.kind = ValueKind::Forces;
    stage.op = op;
  }

  void energy(const JsonReader& entry, Stage& stage) {
    allow_attributes(entry, {});
    weights_of(entry, {});
    EnergyStage op;
    for (const auto& term : inputs_of(entry, {"terms"}).at("terms").elements()) {
      op.terms.push_back(input(term, ValueKind::Scalar, "a scalar per node"));
      if (std::count(op.terms.begin(), op.terms.end(), op.terms.back()) > 1) {
        term.error("this term stands twice, expected once. Re-export the model.");
      }
    }
    if (op.terms.empty()) {
      entry.error("no terms, expected at least one. Re-export the model.");
    }
    stage.kind = ValueKind::Energy;
    stage.op = std::move(op);
  }

  void check_ends(const JsonReader& graph) const {
    std::int64_t n_energy = 0;
    std::int64_t n_direct = 0;
    for (std::size_t k = 0; k < spec_.graph.size(); ++k) {
      const ValueKind kind = spec_.graph[k].kind;
      n_energy += kind == ValueKind::Energy ? 1 : 0;
      n_direct += kind == ValueKind::Forces ? 1 : 0;
      if (n_uses_[k] == 0 && kind != ValueKind::Energy && kind != ValueKind::Forces) {
        graph.error("output \"",
                    JsonReader::printable(spec_.graph[k].output),
                    "\" is used by no stage. Re-export the model.");
      }
    }
    expect_equal(graph, "the number of energy stages", n_energy, 1);
    if (spec_.graph.back().kind != ValueKind::Energy) {
      graph.error("the last stage is \"",
                  JsonReader::printable(spec_.graph.back().output),
                  "\", expected the energy. Re-export the model.");
    }
    expect_equal(graph,
                 "the number of direct_forces stages",
                 n_direct,
                 spec_.forces == ForceKind::Direct ? 1 : 0);
  }

  ModelSpec& spec_;
  Weights& weights_;
  std::set<std::string> names_in_file_;
  std::map<std::string, StageIndex> index_of_;
  std::vector<std::int64_t> n_uses_;
};

void expect_word(const JsonReader& object, const char* key, const char* word) {
  (void)object.at(key).word({word});
}

void read_header(const JsonReader& document, ModelSpec& spec) {
  // The version first: a later format may have other keys.
  const JsonReader version = document.at("format_version");
  if (!version.value().is_number_integer() || version.value() != kFormatVersion) {
    version.error("format version ",
                  JsonReader::printable(version.value().dump()),
                  ", this reader knows ",
                  kFormatVersion,
                  ". Update eqnn, or export the model with this version.");
  }
  document.allow_only({"format_version",
                       "family",
                       "species",
                       "cutoff",
                       "units",
                       "spherical_harmonics",
                       "parity",
                       "equivariance",
                       "energy",
                       "forces",
                       "graph",
                       "self_test",
                       "provenance"});
  spec.family = document.at("family").string();
  for (const auto& species : document.at("species").elements()) {
    spec.species.push_back(species.integer(1, kHeaviestElement));
    if (spec.species.size() > 1 && spec.species.back() <= spec.species[spec.species.size() - 2]) {
      species.error("atomic number ",
                    spec.species.back(),
                    " after ",
                    spec.species[spec.species.size() - 2],
                    ", expected increasing numbers. Re-export the model.");
    }
  }
  if (spec.species.empty()) {
    document.at("species").error("no element, expected at least one. Re-export the model.");
  }
  spec.cutoff = document.at("cutoff").positive();

  const JsonReader units = document.at("units");
  units.allow_only({"length", "energy"});
  expect_word(units, "length", "Angstrom");
  expect_word(units, "energy", "eV");

  const JsonReader harmonics = document.at("spherical_harmonics");
  harmonics.allow_only({"l_max", "normalization", "axes", "edge_vector"});
  spec.l_max = harmonics.at("l_max").integer(0, kMaxL);
  expect_word(harmonics, "normalization", "component");
  expect_word(harmonics, "axes", "e3nn");
  expect_word(harmonics, "edge_vector", "source_minus_center");

  spec.parity = document.at("parity").word({"so3", "o3"}) == "o3" ? Parity::O3 : Parity::So3;

  const JsonReader equivariance = document.at("equivariance");
  equivariance.allow_only({"exact", "defect"});
  spec.exactly_equivariant = equivariance.at("exact").boolean();
  spec.equivariance_defect = equivariance.at("defect").number();
  if (!(spec.equivariance_defect >= 0.0)) {
    equivariance.at("defect").error(
        "found ", spec.equivariance_defect, ", expected 0 or more. Re-export the model.");
  }

  const JsonReader energy = document.at("energy");
  energy.allow_only({"semantics", "scale", "shift", "reference", "isolated_atoms"});
  spec.energy.semantics = energy.at("semantics").word({"extensive", "mean-per-atom"}) == "extensive"
                              ? EnergySemantics::Extensive
                              : EnergySemantics::MeanPerAtom;
  spec.energy.scale = energy.at("scale").number();
  spec.energy.shift = energy.at("shift").number();
  for (const auto& reference : energy.at("reference").elements()) {
    spec.energy.reference.push_back(reference.number());
  }
  if (spec.energy.reference.size() != spec.species.size()) {
    energy.at("reference")
        .error(spec.energy.reference.size(),
               " energies for ",
               spec.species.size(),
               " species. Re-export the model.");
  }
  spec.energy.isolated_atoms_are_zero =
      energy.at("isolated_atoms").word({"zero", "network"}) == "zero";
  spec.forces = document.at("forces").word({"gradient", "direct"}) == "direct"
                    ? ForceKind::Direct
                    : ForceKind::Gradient;

  const JsonReader provenance = document.at("provenance");
  for (const char* key : {"upstream", "exporter", "data", "level_of_theory", "licence"}) {
    (void)provenance.at(key).string();
  }
  spec.provenance = provenance.value().dump();
}

template <std::size_t N> std::array<double, N> numbers(const JsonReader& list) {
  const auto elements = list.elements();
  if (elements.size() != N) {
    list.error(elements.size(), " numbers, expected ", N, ". Re-export the model.");
  }
  std::array<double, N> values{};
  for (std::size_t k = 0; k < N; ++k) {
    values[k] = elements[k].number();
  }
  return values;
}

std::array<double, 9> matrix3(const JsonReader& list) {
  const auto rows = list.elements();
  if (rows.size() != 3) {
    list.error(rows.size(), " rows, expected 3. Re-export the model.");
  }
  std::array<double, 9> values{};
  for (std::size_t a = 0; a < 3; ++a) {
    const auto row = numbers<3>(rows[a]);
    std::copy(row.begin(), row.end(), values.begin() + static_cast<std::ptrdiff_t>(3 * a));
  }
  return values;
}

std::vector<std::array<double, 3>> vectors(const JsonReader& list, std::size_t n) {
  std::vector<std::array<double, 3>> values;
  for (const auto& element : list.elements()) {
    values.push_back(numbers<3>(element));
  }
  if (values.size() != n) {
    list.error(values.size(), " vectors for ", n, " atoms. Re-export the model.");
  }
  return values;
}

SelfTest read_self_test(const JsonReader& entry, const ModelSpec& spec) {
  entry.allow_only({"name", "numbers", "positions", "cell", "energy", "forces", "virial"});
  SelfTest test;
  test.name = entry.at("name").string();
  for (const auto& number : entry.at("numbers").elements()) {
    test.numbers.push_back(number.integer(1, kHeaviestElement));
    if (std::find(spec.species.begin(), spec.species.end(), test.numbers.back()) ==
        spec.species.end()) {
      number.error(
          "the model has no ", element_symbol(test.numbers.back()), ". Re-export the model.");
    }
  }
  test.positions = vectors(entry.at("positions"), test.numbers.size());
  if (!entry.at("cell").is_null()) {
    test.cell = matrix3(entry.at("cell"));
    const auto& h = *test.cell;
    const double volume = h[0] * (h[4] * h[8] - h[5] * h[7]) - h[1] * (h[3] * h[8] - h[5] * h[6]) +
                          h[2] * (h[3] * h[7] - h[4] * h[6]);
    if (!(std::abs(volume) > 1e-3)) {
      entry.at("cell").error(
          "the cell's volume is ", volume, " A^3, expected above 0.001. Re-export the model.");
    }
  }
  test.energy = entry.at("energy").number();
  test.forces = vectors(entry.at("forces"), test.numbers.size());
  if (!entry.at("virial").is_null()) {
    test.virial = matrix3(entry.at("virial"));
  }
  return test;
}

} // namespace

std::string model_hash(const Safetensors& content) {
  Sha256 hash;
  hash.update(content.metadata.at("eqnn"));
  for (const auto& [key, stored] : content.tensors) {
    std::string shape = "[";
    for (std::size_t k = 0; k < stored.tensor.shape.size(); ++k) {
      shape += (k == 0 ? "" : ",") + std::to_string(stored.tensor.shape[k]);
    }
    hash.update(key + "\n" + stored.dtype + "\n" + shape + "]\n");
    hash.update(stored.bytes);
  }
  return hash.hex_digest();
}

ModelSpec interpret_model(const Safetensors& content, const std::string& name) {
  ModelSpec spec;
  spec.file = name;
  const nlohmann::json json =
      parse_json(content.metadata.at("eqnn"), name + ": /__metadata__/eqnn");
  const JsonReader document(json, name, "");
  read_header(document, spec);
  Weights weights(content.tensors, name);
  const JsonReader graph = document.at("graph");
  if (graph.elements().empty()) {
    graph.error("no stage. Re-export the model.");
  }
  GraphReader(spec, weights).read(graph);
  spec.n_parameters = weights.check_all_used();
  for (const auto& entry : document.at("self_test").elements()) {
    spec.self_tests.push_back(read_self_test(entry, spec));
  }
  return spec;
}

ModelSpec parse_model(const std::string& bytes, const std::string& name) {
  const Safetensors content = parse_safetensors(bytes, name);
  for (const char* key : {"eqnn", "eqnn_sha256"}) {
    if (content.metadata.count(key) == 0) {
      fail(name,
           ": /__metadata__: key \"",
           key,
           "\" is missing: not a model of eqnn. Make one with `eqnn export`.");
    }
  }
  for (const auto& [key, unused] : content.metadata) {
    if (key != "eqnn" && key != "eqnn_sha256") {
      fail(name,
           ": /__metadata__: unknown key \"",
           JsonReader::printable(key),
           "\". Re-export the model.");
    }
  }
  const std::string hash = model_hash(content);
  if (const std::string& stated = content.metadata.at("eqnn_sha256"); stated != hash) {
    fail(name,
         ": /__metadata__/eqnn_sha256: the content has SHA-256 ",
         hash,
         ", the file states ",
         JsonReader::printable(stated),
         ".\nThe file was damaged or edited: copy or export it again.");
  }
  ModelSpec spec = interpret_model(content, name);
  spec.sha256 = hash;
  return spec;
}

ModelSpec read_model(const std::string& path) { return parse_model(read_file(path), path); }

} // namespace eqnn
