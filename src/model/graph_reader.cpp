// SPDX-License-Identifier: BSD-3-Clause
// docs/spec/model_file.md
#include "model/graph_reader.hpp"

#include "base/error.hpp"

#include <algorithm>
#include <type_traits>

namespace eqnn {
namespace {

using StageReader = void (*)(const JsonReader&, GraphReader&);

template <class Op> void read_into_graph(const JsonReader& entry, GraphReader& graph) {
  Op op;
  read(entry, graph, op);
  graph.made().op = std::move(op);
}

template <class Op, class = void> constexpr bool kHasOtherNames = false;
template <class Op> constexpr bool kHasOtherNames<Op, std::void_t<decltype(Op::kOtherNames)>> =
    true;

template <class Op> void add_reader(std::map<std::string, StageReader>& readers, const char* name) {
  readers[name] = &read_into_graph<Op>;
  if constexpr (kHasOtherNames<Op>) {
    for (const char* const other : Op::kOtherNames) {
      readers[other] = &read_into_graph<Op>;
    }
  }
}

/// Readers of stages, by the name in the file.
const std::map<std::string, StageReader>& stage_readers() {
  static const std::map<std::string, StageReader> kReaders = [] {
    std::map<std::string, StageReader> readers;
#define EQNN_READER(Type, name) add_reader<Type##Stage>(readers, #name);
    EQNN_MODEL_STAGES(EQNN_READER)
#undef EQNN_READER
    return readers;
  }();
  return kReaders;
}

} // namespace

void GraphReader::read(const JsonReader& graph) {
  const auto entries = graph.elements();
  for (const auto& entry : entries) {
    names_in_file_.insert(entry.at("output").string());
  }
  for (const auto& entry : entries) {
    read_stage(entry);
  }
  check_ends(graph);
}

void GraphReader::read_stage(const JsonReader& entry) {
  const auto& readers = stage_readers();
  const std::string op = entry.at("op").string();
  const auto reader = readers.find(op);
  if (reader == readers.end()) {
    entry.at("op").error("unknown stage \"",
                         JsonReader::printable(op),
                         "\". Update eqnn, or export with this version.");
  }
  Stage stage;
  stage.output = entry.at("output").name();
  if (stage.output.empty() || index_of_.count(stage.output) != 0) {
    entry.at("output").error(
        "output \"",
        JsonReader::printable(stage.output),
        "\" is empty or used twice, expected a unique name. Re-export the model.");
  }
  made_ = &stage;
  reader->second(entry, *this);
  index_of_[stage.output] = static_cast<StageIndex>(spec_.graph.size());
  spec_.graph.push_back(std::move(stage));
  n_uses_.push_back(0);
}

// ---- the entry's parts ----

void GraphReader::allow_attributes(const JsonReader& entry, std::set<std::string> attributes) {
  attributes.insert({"op", "output", "inputs", "weights"});
  entry.allow_only(attributes);
}

JsonReader GraphReader::inputs_of(const JsonReader& entry, const std::set<std::string>& keys) {
  JsonReader inputs = entry.at("inputs");
  inputs.allow_only(keys);
  for (const auto& key : keys) {
    (void)inputs.at(key);
  }
  return inputs;
}

JsonReader GraphReader::weights_of(const JsonReader& entry, const std::set<std::string>& keys) {
  JsonReader weights = entry.at("weights");
  weights.allow_only(keys);
  return weights;
}

// ---- inputs ----

StageIndex GraphReader::input(const JsonReader& name, ValueKind kind, const char* kind_name) {
  const std::string key = name.string();
  const auto found = index_of_.find(key);
  if (found == index_of_.end()) {
    if (names_in_file_.count(key) != 0) {
      name.error(
          "\"",
          JsonReader::printable(key),
          "\" is the output of this stage or a later one, expected an earlier one (the graph has a "
          "cycle or is out of order). "
          "Re-export the model.");
    }
    name.error(
        "\"", JsonReader::printable(key), "\" is the output of no stage. Re-export the model.");
  }
  if (spec_.graph[static_cast<std::size_t>(found->second)].kind != kind) {
    name.error("\"",
               JsonReader::printable(key),
               "\" is another kind of value, expected ",
               kind_name,
               ". Re-export the model.");
  }
  ++n_uses_[static_cast<std::size_t>(found->second)];
  return found->second;
}

StageIndex GraphReader::features(const JsonReader& inputs, const char* key) {
  return input(inputs.at(key), ValueKind::Features, "node features");
}

StageIndex GraphReader::uniform(const JsonReader& inputs, const char* key) {
  const StageIndex index = features(inputs, key);
  if (!is_uniform(stage_at(index).irreps)) {
    inputs.at(key).error("\"",
                         irreps_text(stage_at(index).irreps),
                         "\", expected the same number of channels for each degree from 0 on. "
                         "Re-export the model.");
  }
  return index;
}

StageIndex GraphReader::equal_channels(const JsonReader& inputs, const char* key) {
  const StageIndex index = features(inputs, key);
  const Irreps& irreps = stage_at(index).irreps;
  for (const IrrepsBlock& block : irreps) {
    if (block.channels != irreps.front().channels) {
      inputs.at(key).error("\"",
                           irreps_text(irreps),
                           "\", expected the same number of channels in each block. "
                           "Re-export the model.");
    }
  }
  return index;
}

StageIndex GraphReader::harmonics_input(const JsonReader& inputs) {
  return input(inputs.at("harmonics"), ValueKind::Harmonics, "spherical harmonics");
}

StageIndex GraphReader::radial_input(const JsonReader& inputs) {
  return input(inputs.at("radial"), ValueKind::Radial, "a radial function");
}

StageIndex GraphReader::edge_matrix_input(const JsonReader& inputs) {
  return input(inputs.at("matrix"), ValueKind::Matrix, "an edge matrix");
}

bool GraphReader::has_parity_of_harmonics(StageIndex index) const {
  const Irreps& irreps = stage_at(index).irreps;
  return irreps.size() > 1 && irreps[1].odd;
}

// ---- what the stage makes ----

void GraphReader::make_features(std::int32_t l_max, std::int64_t channels) {
  make_irreps(uniform_irreps(l_max, static_cast<std::int32_t>(channels), is_o3_));
}

void GraphReader::make_irreps(Irreps irreps) {
  made_->kind = ValueKind::Features;
  made_->l_max = irreps.back().l;
  made_->channels = is_uniform(irreps) ? irreps.front().channels : 0;
  made_->irreps = std::move(irreps);
}

// ---- checks and parts that several stages have ----

void GraphReader::expect_equal(const JsonReader& where,
                               const char* what,
                               std::int64_t found,
                               std::int64_t expected) {
  if (found != expected) {
    where.error(what, " is ", found, ", expected ", expected, ". Re-export the model.");
  }
}

std::int64_t
GraphReader::checked_channels(const JsonReader& where, const Tensor& weight, std::size_t axis) {
  if (weight.shape[axis] > kMaxChannels) {
    where.error(
        weight.shape[axis], " channels, expected at most ", kMaxChannels, ". Re-export the model.");
  }
  return weight.shape[axis];
}

void GraphReader::check_block(const JsonReader& where, const IrrepsBlock& block) const {
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

Irreps GraphReader::irreps_attribute(const JsonReader& entry) const {
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

std::int32_t GraphReader::block_of(const JsonReader& name, const Irreps& irreps) {
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

Activation GraphReader::activation(const JsonReader& entry, const std::set<std::string>& allowed) {
  static const std::map<std::string, Activation> kActivations{
      {"none", Activation::None},
      {"silu", Activation::Silu},
      {"tanh", Activation::Tanh},
      {"sigmoid", Activation::Sigmoid},
      {"abs", Activation::Abs},
      {"gelu", Activation::Gelu},
      {"mish", Activation::Mish},
      {"shifted_softplus", Activation::ShiftedSoftplus},
      {"tanh_square", Activation::TanhSquare}};
  return kActivations.at(entry.word(allowed));
}

std::vector<MlpLayer>
GraphReader::layers(const JsonReader& list, std::int64_t n_in, const std::set<std::string>& words) {
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
    layer.activation = activation(entry.at("activation"), words);
    layers.push_back(std::move(layer));
    n_in = n_out;
  }
  if (layers.empty()) {
    list.error("no layer, expected at least one. Re-export the model.");
  }
  return layers;
}

namespace {

void check_triangle(const JsonReader& where,
                    const IrrepsBlock& a,
                    std::int32_t l,
                    bool odd,
                    const IrrepsBlock& out) {
  if (out.l < std::abs(a.l - l) || out.l > a.l + l || out.odd != (a.odd != odd)) {
    where.error(
        kind_name(a),
        " x ",
        kind_name({l, odd, 0}),
        " -> ",
        kind_name(out),
        " is not a path: the degrees violate the triangle rule, or the parities do not multiply. "
        "Re-export the model.");
  }
}

} // namespace

TensorProductPaths
GraphReader::paths(const JsonReader& list, const Irreps& source, std::int32_t l_max) const {
  constexpr std::int64_t kMaxPathChannels = 1 << 22;
  const auto entries = list.elements();
  if (entries.empty()) {
    list.error("no path, expected at least one. Re-export the model.");
  }
  TensorProductPaths found;
  std::vector<IrrepsBlock> out_of_path;
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
    p.l = parts[1].integer(0, l_max);
    const IrrepsBlock& block = source[static_cast<std::size_t>(p.source)];
    auto target = parse_kind(parts[2].string());
    if (!target) {
      parts[2].error("found \"",
                     JsonReader::printable(parts[2].string()),
                     "\", expected a block such as \"1o\". Re-export the model.");
    }
    check_block(parts[2], *target);
    check_triangle(path, block, p.l, is_o3() && p.l % 2 == 1, *target);
    target->channels = p.channels = block.channels;
    p.radial = static_cast<std::int32_t>(found.channels);
    found.channels += block.channels;
    if (found.channels > kMaxPathChannels) {
      path.error("the paths have more than ", kMaxPathChannels, " channels. Re-export the model.");
    }
    out_of_path.push_back(*target);
    found.paths.push_back(p);
  }
  for (const IrrepsBlock& target : out_of_path) {
    if (find_block(found.out, target) < 0) {
      found.out.push_back({target.l, target.odd, 0});
    }
  }
  sort_blocks(found.out);
  for (std::size_t k = 0; k < found.paths.size(); ++k) {
    found.paths[k].out = find_block(found.out, out_of_path[k]);
    IrrepsBlock& block = found.out[static_cast<std::size_t>(found.paths[k].out)];
    found.paths[k].channel = block.channels;
    block.channels += out_of_path[k].channels;
  }
  return found;
}

double GraphReader::norm_eps(const JsonReader& entry) {
  // Then the cube of 1/sqrt(eps), which occurs in the adjoint, is finite in single precision.
  constexpr double kSmallest = 1e-24;
  const double eps = entry.positive();
  if (!(eps >= kSmallest)) {
    entry.error("found ",
                eps,
                ", expected at least ",
                kSmallest,
                ": smaller values overflow in single precision. Re-export the model.");
  }
  return eps;
}

double GraphReader::polynomial_order(const JsonReader& entry) {
  const double p = entry.number();
  if (!(p >= 2.0)) {
    entry.error("found ", p, ", expected at least 2. Re-export the model.");
  }
  return p;
}

void GraphReader::check_ends(const JsonReader& graph) const {
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

void read_graph(const JsonReader& graph,
                const std::map<std::string, StoredTensor>& tensors,
                ModelSpec& spec) {
  if (graph.elements().empty()) {
    graph.error("no stage, expected at least one. Re-export the model.");
  }
  StoredWeights weights(tensors, spec.file);
  GraphReader(spec, weights).read(graph);
  spec.n_parameters = weights.check_all_used();
}

} // namespace eqnn
