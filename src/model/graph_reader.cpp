// SPDX-License-Identifier: BSD-3-Clause
// The stages of a model file: one reader an op. docs/spec/model_file.md
#include "model/graph_reader.hpp"

#include "base/error.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

namespace eqnn {
namespace {

constexpr std::int32_t kMaxDegree = 10;
constexpr std::int32_t kMaxChannels = 1 << 16;
constexpr std::int64_t kMaxPathChannels = 1 << 22;

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
    return take(name, expected, {"F64", "F32"});
  }

  Tensor take_integers(const JsonReader& name, const std::vector<std::int64_t>& expected) {
    return take(name, expected, {"I32", "I32"});
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
      n_parameters += stored.dtype == "I32" ? 0 : stored.tensor.size();
    }
    return n_parameters;
  }

private:
  Tensor take(const JsonReader& name,
              const std::vector<std::int64_t>& expected,
              const std::array<const char*, 2>& types) {
    const std::string key = name.string();
    const auto found = tensors_.find(key);
    if (found == tensors_.end()) {
      name.error(
          "tensor \"", JsonReader::printable(key), "\" is not in the file. Re-export the model.");
    }
    const StoredTensor& stored = found->second;
    if (stored.dtype != types[0] && stored.dtype != types[1]) {
      name.error("tensor \"",
                 JsonReader::printable(key),
                 "\" has type ",
                 stored.dtype,
                 ", expected ",
                 types[0],
                 types[0] == types[1] ? "" : std::string(" or ") + types[1],
                 ". Re-export the model.");
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
      , weights_(weights)
      , is_o3_(spec.parity == Parity::O3) {}

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
        {"irreps_linear", &GraphReader::irreps_linear},
        {"species_linear", &GraphReader::species_linear},
        {"edge_tensor_product", &GraphReader::edge_tensor_product},
        {"irreps_gate", &GraphReader::irreps_gate},
        {"rms_norm", &GraphReader::rms_norm},
        {"symmetric_contraction", &GraphReader::symmetric_contraction},
        {"sphere_polynomial", &GraphReader::sphere_polynomial},
        {"gaunt_product", &GraphReader::gaunt_product},
        {"gaunt_convolution", &GraphReader::gaunt_convolution},
        {"zbl", &GraphReader::zbl},
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

  /// Features with the same number of channels for each degree 0..l_max.
  StageIndex uniform(const JsonReader& inputs, const char* key) {
    const StageIndex index = features(inputs, key);
    if (!is_uniform(stage_at(index).irreps)) {
      inputs.at(key).error("\"",
                           irreps_text(stage_at(index).irreps),
                           "\", expected the same number of channels for each degree from 0 on. "
                           "Re-export the model.");
    }
    return index;
  }

  StageIndex harmonics_input(const JsonReader& inputs) {
    return input(inputs.at("harmonics"), ValueKind::Harmonics, "spherical harmonics");
  }

  /// Of degree and parity of the harmonics, or all even: how its components behave under inversion.
  bool has_parity_of_harmonics(StageIndex index) const {
    const Irreps& irreps = stage_at(index).irreps;
    return irreps.size() > 1 && irreps[1].odd;
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

  void make_features(Stage& stage, std::int32_t l_max, std::int64_t channels) const {
    make_irreps(stage, uniform_irreps(l_max, static_cast<std::int32_t>(channels), is_o3_));
  }

  static void make_irreps(Stage& stage, Irreps irreps) {
    stage.kind = ValueKind::Features;
    stage.l_max = irreps.back().l;
    stage.channels = is_uniform(irreps) ? irreps.front().channels : 0;
    stage.irreps = std::move(irreps);
  }

  /// The attribute `irreps`: what the output is made of.
  Irreps irreps_attribute(const JsonReader& entry) const {
    const JsonReader attribute = entry.at("irreps");
    const auto irreps = parse_irreps(attribute.string());
    if (!irreps) {
      attribute.error("found \"",
                      JsonReader::printable(attribute.string()),
                      "\", expected blocks by increasing degree, e before o, as in "
                      "\"64x0e+32x1o\". Re-export the model.");
    }
    for (const IrrepsBlock& block : *irreps) {
      check_block(attribute, block);
    }
    return *irreps;
  }

  void check_block(const JsonReader& where, const IrrepsBlock& block) const {
    if (block.l > kMaxDegree || block.channels > kMaxChannels) {
      where.error(block.channels,
                  "x",
                  kind_name(block),
                  ", expected degrees up to ",
                  kMaxDegree,
                  " and up to ",
                  kMaxChannels,
                  " channels. Re-export the model.");
    }
    if (block.odd && !is_o3_) {
      where.error(kind_name(block),
                  " in a model of parity so3, where every parity is e. Re-export the model.");
    }
  }

  /// "1o" -> position in irreps
  static std::int32_t block_of(const JsonReader& name, const Irreps& irreps) {
    const auto kind = parse_kind(name.string());
    const std::int32_t found = kind ? find_block(irreps, *kind) : -1;
    if (found < 0) {
      name.error("found \"",
                 JsonReader::printable(name.string()),
                 "\", expected a block of ",
                 irreps_text(irreps),
                 ". Re-export the model.");
    }
    return found;
  }

  static void check_triangle(const JsonReader& where,
                             const IrrepsBlock& a,
                             std::int32_t l,
                             bool odd,
                             const IrrepsBlock& out) {
    if (out.l < std::abs(a.l - l) || out.l > a.l + l || out.odd != (a.odd != odd)) {
      where.error(kind_name(a),
                  " x ",
                  kind_name({l, odd, 0}),
                  " -> ",
                  kind_name(out),
                  " is no path: degrees violate the triangle rule or parities do not multiply. "
                  "Re-export the model.");
    }
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

  static Activation activation(const JsonReader& entry, const std::set<std::string>& allowed) {
    static const std::map<std::string, Activation> kActivations{{"none", Activation::None},
                                                                {"silu", Activation::Silu},
                                                                {"tanh", Activation::Tanh},
                                                                {"sigmoid", Activation::Sigmoid}};
    return kActivations.at(entry.word(allowed));
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
      layer.activation = activation(entry.at("activation"), {"none", "silu"});
      layers.push_back(std::move(layer));
      n_in = n_out;
    }
    if (layers.empty()) {
      list.error("no layer, expected at least one. Re-export the model.");
    }
    return layers;
  }

  /// Number of functions.
  std::int64_t radial_basis(const JsonReader& basis, RadialStage& op) {
    if (basis.at("kind").word({"gaussian", "bessel"}) == "bessel") {
      basis.allow_only({"kind", "frequency", "amplitude"});
      BesselBasis bessel;
      bessel.frequency = weights_.take(basis.at("frequency"), {-1});
      const std::int64_t n = checked_channels(basis.at("frequency"), bessel.frequency, 0);
      bessel.amplitude = weights_.take(basis.at("amplitude"), {n});
      op.basis = std::move(bessel);
      return n;
    }
    basis.allow_only({"kind", "center", "width", "amplitude"});
    GaussianBasis gaussian;
    gaussian.center = weights_.take(basis.at("center"), {-1});
    const std::int64_t n = checked_channels(basis.at("center"), gaussian.center, 0);
    gaussian.width = weights_.take(basis.at("width"), {n});
    gaussian.amplitude = weights_.take(basis.at("amplitude"), {n});
    for (const double width : gaussian.width.values) {
      if (!(width > 0.0)) {
        basis.at("width").error(
            "a width of ", width, " Angstrom, expected a positive one. Re-export the model.");
      }
    }
    op.basis = std::move(gaussian);
    return n;
  }

  Envelope envelope(const JsonReader& entry) const {
    Envelope envelope;
    const std::string kind = entry.at("kind").word({"none", "polynomial", "xplor"});
    if (kind == "none") {
      entry.allow_only({"kind"});
      return envelope;
    }
    envelope.on_basis = entry.at("on").word({"basis", "output"}) == "basis";
    if (kind == "polynomial") {
      entry.allow_only({"kind", "p", "on"});
      envelope.kind = EnvelopeKind::Polynomial;
      envelope.p = polynomial_order(entry.at("p"));
    } else {
      entry.allow_only({"kind", "start", "on"});
      envelope.kind = EnvelopeKind::Xplor;
      envelope.start = entry.at("start").positive();
      if (!(envelope.start < spec_.cutoff)) {
        entry.at("start").error("found ",
                                envelope.start,
                                ", expected less than the cutoff, ",
                                spec_.cutoff,
                                ". Re-export the model.");
      }
    }
    return envelope;
  }

  static double polynomial_order(const JsonReader& entry) {
    const double p = entry.number();
    if (!(p >= 2.0)) {
      entry.error("found ", p, ", expected at least 2. Re-export the model.");
    }
    return p;
  }

  void radial(const JsonReader& entry, Stage& stage) {
    allow_attributes(entry, {"basis", "envelope", "layers"});
    inputs_of(entry, {});
    weights_of(entry, {});
    RadialStage op;
    const std::int64_t n = radial_basis(entry.at("basis"), op);
    op.envelope = envelope(entry.at("envelope"));
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
    const Irreps& a = stage_at(op.a).irreps;
    for (const IrrepsBlock& block : stage_at(op.b).irreps) {
      if (std::count(a.begin(), a.end(), block) == 0) {
        inputs.at("b").error(irreps_text({block}),
                             " is no block of ",
                             irreps_text(a),
                             ", to which it is added. Re-export the model.");
      }
    }
    make_irreps(stage, a);
    stage.op = op;
  }

  void equivariant_norm(const JsonReader& entry, Stage& stage) {
    allow_attributes(entry, {"eps"});
    EquivariantNormStage op;
    op.features = uniform(inputs_of(entry, {"features"}), "features");
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
    op.features = uniform(inputs_of(entry, {"features"}), "features");
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
    const GateStage op{uniform(inputs, "features"), uniform(inputs, "gates")};
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
    op.source = uniform(inputs, "source");
    op.center = uniform(inputs, "center");
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

  // ---- stages with Clebsch-Gordan paths and Gaunt products ----

  void irreps_linear(const JsonReader& entry, Stage& stage) { read_mixing(entry, stage, false); }

  void species_linear(const JsonReader& entry, Stage& stage) { read_mixing(entry, stage, true); }

  void read_mixing(const JsonReader& entry, Stage& stage, bool per_species) {
    allow_attributes(entry, {"irreps"});
    const JsonReader inputs = inputs_of(entry, {"features"});
    IrrepsLinearStage op;
    op.features = features(inputs, "features");
    op.per_species = per_species;
    const Irreps& in = stage_at(op.features).irreps;
    const Irreps out = irreps_attribute(entry);
    const JsonReader weights = entry.at("weights");
    std::set<std::string> keys;
    for (std::size_t b = 0; b < out.size(); ++b) {
      const std::string key = kind_name(out[b]);
      keys.insert(key);
      BlockWeight weight;
      weight.in = find_block(in, out[b]);
      weight.out = static_cast<std::int32_t>(b);
      if (weight.in < 0) {
        entry.at("irreps").error(
            key, " is no block of the input, ", irreps_text(in), ". Re-export the model.");
      }
      std::vector<std::int64_t> shape{out[b].channels,
                                      in[static_cast<std::size_t>(weight.in)].channels};
      if (per_species) {
        shape.insert(shape.begin(), static_cast<std::int64_t>(spec_.species.size()));
      }
      weight.weight = weights_.take(weights.at(key), shape);
      op.blocks.push_back(std::move(weight));
    }
    if (!per_species && find_block(out, {}) == 0) {
      keys.insert("bias");
      if (weights.value().contains("bias")) {
        op.bias = weights_.take(weights.at("bias"), {out.front().channels});
      }
    }
    weights.allow_only(keys);
    make_irreps(stage, out);
    stage.op = std::move(op);
  }

  void edge_tensor_product(const JsonReader& entry, Stage& stage) {
    allow_attributes(entry, {"paths"});
    weights_of(entry, {});
    const JsonReader inputs = inputs_of(entry, {"source", "harmonics", "radial"});
    EdgeTensorProductStage op;
    op.source = features(inputs, "source");
    op.harmonics = harmonics_input(inputs);
    op.radial = radial_input(inputs);
    const Irreps& source = stage_at(op.source).irreps;
    const auto entries = entry.at("paths").elements();
    if (entries.empty()) {
      entry.at("paths").error("no path, expected at least one. Re-export the model.");
    }
    Irreps out;
    std::vector<IrrepsBlock> out_of_path;
    std::int64_t n_radial = 0;
    for (const JsonReader& path : entries) {
      const auto parts = path.elements();
      if (parts.size() != 3) {
        path.error("found ",
                   parts.size(),
                   " entries, expected block, degree, block, as in [\"1o\", 2, \"3o\"]. Re-export "
                   "the model.");
      }
      TensorProductPath p;
      p.source = block_of(parts[0], source);
      p.l = parts[1].integer(0, stage_at(op.harmonics).l_max);
      const IrrepsBlock& block = source[static_cast<std::size_t>(p.source)];
      auto target = parse_kind(parts[2].string());
      if (!target) {
        parts[2].error("found \"",
                       JsonReader::printable(parts[2].string()),
                       "\", expected a block as \"1o\". Re-export the model.");
      }
      check_block(parts[2], *target);
      check_triangle(path, block, p.l, is_o3_ && p.l % 2 == 1, *target);
      target->channels = block.channels;
      p.radial = static_cast<std::int32_t>(n_radial);
      n_radial += block.channels;
      if (n_radial > kMaxPathChannels) {
        path.error("more than ", kMaxPathChannels, " channels of paths. Re-export the model.");
      }
      out_of_path.push_back(*target);
      op.paths.push_back(p);
    }
    for (const IrrepsBlock& target : out_of_path) {
      if (find_block(out, target) < 0) {
        out.push_back({target.l, target.odd, 0});
      }
    }
    std::sort(out.begin(), out.end(), [](const IrrepsBlock& a, const IrrepsBlock& b) {
      return a.l != b.l ? a.l < b.l : !a.odd && b.odd;
    });
    for (std::size_t k = 0; k < op.paths.size(); ++k) {
      op.paths[k].out = find_block(out, out_of_path[k]);
      IrrepsBlock& block = out[static_cast<std::size_t>(op.paths[k].out)];
      op.paths[k].channel = block.channels;
      block.channels += out_of_path[k].channels;
    }
    expect_equal(inputs.at("radial"), "channels", stage_at(op.radial).channels, n_radial);
    make_irreps(stage, std::move(out));
    stage.op = std::move(op);
  }

  void irreps_gate(const JsonReader& entry, Stage& stage) {
    allow_attributes(entry, {"scalars", "activations", "gates"});
    weights_of(entry, {});
    IrrepsGateStage op;
    op.features = features(inputs_of(entry, {"features"}), "features");
    const Irreps& in = stage_at(op.features).irreps;
    op.odd_gates = entry.at("gates").word({"0e", "0o"}) == "0o";
    const std::set<std::string> odd_functions{"none", "tanh"};
    const std::set<std::string> functions{"none", "silu", "tanh", "sigmoid"};
    std::int32_t n_gates = 0;
    std::set<std::string> keys; // of the scalar blocks that there are
    for (const IrrepsBlock& block : in) {
      n_gates += block.l > 0 ? block.channels : 0;
      if (block.l == 0) {
        keys.insert(block.odd ? "0o" : "0e");
      }
    }
    const JsonReader scalars = entry.at("scalars");
    scalars.allow_only(keys);
    keys.insert("gates");
    const JsonReader activations = entry.at("activations");
    activations.allow_only(keys);
    Irreps out;
    for (const bool odd : {false, true}) {
      const char* const key = odd ? "0o" : "0e";
      const std::int32_t b = find_block(in, {0, odd, 0});
      const std::int32_t there = b < 0 ? 0 : in[static_cast<std::size_t>(b)].channels;
      const std::int32_t gates = odd == op.odd_gates ? n_gates : 0;
      const std::int32_t n = b < 0 ? 0 : scalars.at(key).integer(0, kMaxChannels);
      if (n + gates != there) {
        scalars.error(n,
                      " scalars and ",
                      gates,
                      " gates in ",
                      key,
                      ", which has ",
                      there,
                      " channels. Re-export the model.");
      }
      if (b < 0) {
        continue;
      }
      (odd ? op.odd_scalars : op.even_scalars) = n;
      // A function of odd scalars keeps a parity only if it is odd itself.
      (odd ? op.odd_activation : op.even_activation) =
          activation(activations.at(key), odd ? odd_functions : functions);
      if (n > 0) {
        out.push_back({0, odd, n});
      }
    }
    op.gate_activation =
        activation(activations.at("gates"), op.odd_gates ? odd_functions : functions);
    for (const IrrepsBlock& block : in) {
      if (block.l > 0) {
        out.push_back({block.l, block.odd != op.odd_gates, block.channels});
      }
    }
    std::sort(out.begin(), out.end(), [](const IrrepsBlock& a, const IrrepsBlock& b) {
      return a.l != b.l ? a.l < b.l : !a.odd && b.odd;
    });
    if (out.empty()) {
      entry.error("the output has no block. Re-export the model.");
    }
    make_irreps(stage, std::move(out));
    stage.op = op;
  }

  void rms_norm(const JsonReader& entry, Stage& stage) {
    allow_attributes(entry, {"eps"});
    RmsNormStage op;
    op.features = features(inputs_of(entry, {"features"}), "features");
    op.eps = entry.at("eps").positive();
    const Irreps& irreps = stage_at(op.features).irreps;
    const JsonReader weights = entry.at("weights");
    std::set<std::string> keys;
    for (const IrrepsBlock& block : irreps) {
      keys.insert(kind_name(block));
      op.scale.push_back(weights_.take(weights.at(kind_name(block)), {block.channels}));
    }
    weights.allow_only(keys);
    make_irreps(stage, irreps);
    stage.op = std::move(op);
  }

  void symmetric_contraction(const JsonReader& entry, Stage& stage) {
    allow_attributes(entry, {"irreps", "terms"});
    weights_of(entry, {});
    SymmetricContractionStage op;
    op.features = uniform(inputs_of(entry, {"features"}), "features");
    const std::int32_t channels = stage_at(op.features).channels;
    const std::int64_t d = components(stage_at(op.features).l_max);
    const Irreps out = irreps_attribute(entry);
    for (const IrrepsBlock& block : out) {
      expect_equal(entry.at("irreps"), "the number of channels", block.channels, channels);
    }
    for (const JsonReader& term : entry.at("terms").elements()) {
      term.allow_only({"irrep", "indices", "values", "weights"});
      ContractionTerm t;
      t.block = block_of(term.at("irrep"), out);
      const Tensor indices = weights_.take_integers(term.at("indices"), {-1, -1});
      t.nu = static_cast<std::int32_t>(indices.shape[1]) - 2;
      if (t.nu < 1 || t.nu > 3) {
        term.at("indices").error(
            indices.shape[1],
            " columns, expected 3 to 5: component, weight, and 1 to 3 factors. "
            "Re-export the model.");
      }
      const std::int64_t n = indices.shape[0];
      t.values = weights_.take(term.at("values"), {n});
      t.weights = weights_.take(term.at("weights"),
                                {static_cast<std::int64_t>(spec_.species.size()), -1, channels});
      const std::array<std::int64_t, 5> limits{
          out[static_cast<std::size_t>(t.block)].components(), t.weights.shape[1], d, d, d};
      for (std::int64_t k = 0; k < n; ++k) {
        std::array<std::int32_t, 5> row{};
        for (std::int32_t c = 0; c < t.nu + 2; ++c) {
          const auto column = static_cast<std::size_t>(c);
          const double index = indices.values[static_cast<std::size_t>(k * (t.nu + 2) + c)];
          if (index < 0 || index >= static_cast<double>(limits[column])) {
            term.at("indices").error("found ",
                                     index,
                                     " in row ",
                                     k,
                                     ", column ",
                                     c,
                                     ", expected 0 to ",
                                     limits[column] - 1,
                                     ". Re-export the model.");
          }
          row[column] = static_cast<std::int32_t>(index);
        }
        t.indices.push_back(row);
      }
      op.terms.push_back(std::move(t));
    }
    if (op.terms.empty()) {
      entry.at("terms").error("no term, expected at least one. Re-export the model.");
    }
    make_irreps(stage, out);
    stage.op = std::move(op);
  }

  void sphere_polynomial(const JsonReader& entry, Stage& stage) {
    allow_attributes(entry, {"l_max"});
    SpherePolynomialStage op;
    op.features = uniform(inputs_of(entry, {"features"}), "features");
    const std::int32_t l_max = entry.at("l_max").integer(0, kMaxDegree);
    const std::int32_t channels = stage_at(op.features).channels;
    const JsonReader weights = weights_of(entry, {"order_1", "order_2", "order_3", "order_4"});
    for (std::int32_t nu = 1; nu <= 4; ++nu) {
      const std::string key = "order_" + std::to_string(nu);
      if (!weights.value().contains(key)) {
        break;
      }
      op.orders.push_back(weights_.take(
          weights.at(key), {static_cast<std::int64_t>(spec_.species.size()), channels, l_max + 1}));
    }
    if (op.orders.empty() || op.orders.size() != weights.value().size()) {
      weights.error("orders are missing, expected order_1, order_2 and so on without gaps. "
                    "Re-export the model.");
    }
    make_irreps(stage, uniform_irreps(l_max, channels, has_parity_of_harmonics(op.features)));
    stage.op = std::move(op);
  }

  void gaunt_product(const JsonReader& entry, Stage& stage) {
    allow_attributes(entry, {"l_max"});
    const JsonReader inputs = inputs_of(entry, {"a", "b"});
    GauntProductStage op;
    op.a = uniform(inputs, "a");
    op.b = uniform(inputs, "b");
    const Stage& a = stage_at(op.a);
    const Stage& b = stage_at(op.b);
    expect_equal(inputs.at("b"), "channels", b.channels, a.channels);
    const bool odd = has_parity_of_harmonics(op.a) || has_parity_of_harmonics(op.b);
    for (const StageIndex factor : {op.a, op.b}) {
      if (odd && stage_at(factor).l_max > 0 && !has_parity_of_harmonics(factor)) {
        entry.at("inputs").error(irreps_text(a.irreps),
                                 " times ",
                                 irreps_text(b.irreps),
                                 " has no parity, expected that of the harmonics in both. "
                                 "Re-export the model.");
      }
    }
    const std::int32_t l_max =
        entry.at("l_max").integer(0, std::min(a.l_max + b.l_max, kMaxDegree));
    const JsonReader weights = weights_of(entry, {"scale_a", "scale_b", "scale_out", "curl"});
    const auto optional = [&](const char* key, std::int32_t degree, std::optional<Tensor>& tensor) {
      if (weights.value().contains(key)) {
        tensor = weights_.take(weights.at(key), {degree + 1, a.channels});
      }
    };
    optional("scale_a", a.l_max, op.scale_a);
    optional("scale_b", b.l_max, op.scale_b);
    optional("scale_out", l_max, op.scale_out);
    optional("curl", l_max, op.curl);
    if (op.curl && is_o3_) {
      weights.at("curl").error("found in a model of parity o3, expected so3: the curl of two "
                               "functions changes sign under inversion. Re-export the model.");
    }
    make_irreps(stage, uniform_irreps(l_max, a.channels, odd));
    stage.op = std::move(op);
  }

  void gaunt_convolution(const JsonReader& entry, Stage& stage) {
    allow_attributes(entry, {"l_max"});
    weights_of(entry, {});
    const JsonReader inputs = inputs_of(entry, {"source", "harmonics", "radial"});
    GauntConvolutionStage op;
    op.source = uniform(inputs, "source");
    op.harmonics = harmonics_input(inputs);
    op.radial = radial_input(inputs);
    const Stage& source = stage_at(op.source);
    const std::int32_t l_filter = stage_at(op.harmonics).l_max;
    if (is_o3_ && source.l_max > 0 && !has_parity_of_harmonics(op.source)) {
      inputs.at("source").error(irreps_text(source.irreps),
                                ", expected the parities of the harmonics. Re-export the model.");
    }
    expect_equal(inputs.at("radial"),
                 "channels",
                 stage_at(op.radial).channels,
                 std::int64_t{l_filter + 1} * source.channels);
    const std::int32_t l_max =
        entry.at("l_max").integer(0, std::min(source.l_max + l_filter, kMaxDegree));
    make_irreps(stage, uniform_irreps(l_max, source.channels, is_o3_));
    stage.op = op;
  }

  void zbl(const JsonReader& entry, Stage& stage) {
    allow_attributes(entry,
                     {"p", "screening_length", "screening_exponent", "coefficients", "exponents"});
    inputs_of(entry, {});
    ZblStage op;
    const JsonReader radius = weights_of(entry, {"radius"}).at("radius");
    op.radius = weights_.take(radius, {static_cast<std::int64_t>(spec_.species.size())});
    for (const double r : op.radius.values) {
      if (!(r > 0.0)) {
        radius.error("a radius of ", r, " Angstrom, expected a positive one. Re-export the model.");
      }
    }
    op.p = polynomial_order(entry.at("p"));
    op.screening_length = entry.at("screening_length").positive();
    op.screening_exponent = entry.at("screening_exponent").positive();
    for (const auto& c : entry.at("coefficients").elements()) {
      op.coefficients.push_back(c.number());
    }
    for (const auto& c : entry.at("exponents").elements()) {
      op.exponents.push_back(c.positive());
    }
    if (op.coefficients.empty() || op.coefficients.size() != op.exponents.size()) {
      entry.at("exponents")
          .error(op.exponents.size(),
                 " exponents for ",
                 op.coefficients.size(),
                 " coefficients. Re-export the model.");
    }
    stage.kind = ValueKind::Scalar;
    stage.op = std::move(op);
  }

  void readout(const JsonReader& entry, Stage& stage) {
    allow_attributes(entry, {"layers"});
    weights_of(entry, {});
    ReadoutStage op;
    const JsonReader inputs = inputs_of(entry, {"features"});
    op.features = features(inputs, "features");
    const Irreps& irreps = stage_at(op.features).irreps;
    if (find_block(irreps, {}) != 0) {
      inputs.at("features")
          .error(irreps_text(irreps), " has no scalars (0e) to read out. Re-export the model.");
    }
    op.layers = layers(entry.at("layers"), irreps.front().channels);
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
    const DirectForcesStage op{uniform(inputs, "features")};
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
  bool is_o3_;
  std::set<std::string> names_in_file_;
  std::map<std::string, StageIndex> index_of_;
  std::vector<std::int64_t> n_uses_;
};

} // namespace

void read_graph(const JsonReader& graph,
                const std::map<std::string, StoredTensor>& tensors,
                ModelSpec& spec) {
  if (graph.elements().empty()) {
    graph.error("no stage. Re-export the model.");
  }
  Weights weights(tensors, spec.file);
  GraphReader(spec, weights).read(graph);
  spec.n_parameters = weights.check_all_used();
}

} // namespace eqnn
