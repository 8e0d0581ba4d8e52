// SPDX-License-Identifier: BSD-3-Clause
#include "model/graph_reader.hpp"
#include "model/uniform_stages.hpp"

namespace eqnn {
namespace {

/// `gate`: multiplies each channel of uniform features by a function of the same channel of the
/// gates.
void read_uniform(const JsonReader& entry, GraphReader& graph, GateStage& op) {
  GraphReader::allow_attributes(entry, {});
  GraphReader::weights_of(entry, {});
  const JsonReader inputs = GraphReader::inputs_of(entry, {"features", "gates"});
  const StageIndex features = graph.uniform(inputs, "features");
  const StageIndex gates = graph.uniform(inputs, "gates");
  const Stage& x = graph.stage_at(features);
  GraphReader::expect_equal(inputs.at("gates"), "l_max", graph.stage_at(gates).l_max, 0);
  GraphReader::expect_equal(
      inputs.at("gates"), "channels", graph.stage_at(gates).channels, x.channels);
  op = uniform_gate(features, gates, x.l_max, x.channels);
  graph.make_features(x.l_max, x.channels);
}

/// Reads an operation whose gates are the last channels of its scalars of one parity.
class OwnGates {
public:
  OwnGates(const JsonReader& entry, const Irreps& in)
      : entry_(entry)
      , in_(in)
      , odd_(entry.at("gates").word({"0e", "0o"}) == "0o") {
    for (const IrrepsBlock& block : in) {
      n_gates_ += block.l > 0 ? block.channels : 0;
    }
    check_keys();
    for (const bool odd : {false, true}) {
      if (find_block(in_, {0, odd, 0}) >= 0) {
        read_scalars(odd);
      } else if (odd == odd_ && n_gates_ > 0) {
        refuse(0, n_gates_, odd, 0);
      }
    }
    add_gated_blocks();
    sort_blocks(out_);
    for (GatedBlock& block : blocks_) {
      const IrrepsBlock& from = in_[static_cast<std::size_t>(block.in)];
      block.out = find_block(out_, {from.l, from.odd != (from.l > 0 && odd_), 0});
    }
  }

  const Irreps& out() const { return out_; }

  std::vector<GatedBlock> blocks() const { return blocks_; }

private:
  /// Allows only the keys of scalar blocks that are present, and "gates" for activations.
  void check_keys() const {
    std::set<std::string> keys;
    for (const IrrepsBlock& block : in_) {
      if (block.l == 0) {
        keys.insert(kind_name(block));
      }
    }
    entry_.at("scalars").allow_only(keys);
    keys.insert("gates");
    entry_.at("activations").allow_only(keys);
  }

  void refuse(std::int32_t n, std::int32_t gates, bool odd, std::int32_t there) const {
    entry_.at("scalars").error(n,
                               " scalars and ",
                               gates,
                               " gates in ",
                               odd ? "0o" : "0e",
                               ", which has ",
                               there,
                               " channels. Re-export the model.");
  }

  void read_scalars(bool odd) {
    const char* const key = odd ? "0o" : "0e";
    const std::int32_t b = find_block(in_, {0, odd, 0});
    const std::int32_t there = in_[static_cast<std::size_t>(b)].channels;
    const std::int32_t gates = odd == odd_ ? n_gates_ : 0;
    const std::int32_t n = entry_.at("scalars").at(key).integer(0, kMaxChannels);
    if (n + gates != there) {
      refuse(n, gates, odd, there);
    }
    const Activation function = read_function(entry_.at("activations").at(key), odd);
    if (n > 0) {
      blocks_.push_back({b, -1, -1, 0, n, function});
      out_.push_back({0, odd, n});
    }
  }

  /// A function of odd scalars preserves parity only if the function is odd.
  static Activation read_function(const JsonReader& name, bool odd) {
    const std::set<std::string> odd_functions{"none", "tanh"};
    const std::set<std::string> functions{
        "none", "silu", "tanh", "sigmoid", "abs", "gelu", "mish", "shifted_softplus"};
    return GraphReader::activation(name, odd ? odd_functions : functions);
  }

  void add_gated_blocks() {
    const Activation function = read_function(entry_.at("activations").at("gates"), odd_);
    const std::int32_t gates = find_block(in_, {0, odd_, 0});
    std::int32_t channel = gates < 0 ? 0 : in_[static_cast<std::size_t>(gates)].channels - n_gates_;
    for (std::size_t b = 0; b < in_.size(); ++b) {
      if (in_[b].l > 0) {
        blocks_.push_back(
            {static_cast<std::int32_t>(b), -1, gates, channel, in_[b].channels, function});
        out_.push_back({in_[b].l, in_[b].odd != odd_, in_[b].channels});
        channel += in_[b].channels;
      }
    }
  }

  const JsonReader& entry_;
  const Irreps& in_;
  bool odd_;
  std::int32_t n_gates_ = 0;
  Irreps out_;
  std::vector<GatedBlock> blocks_;
};

/// `irreps_gate`
void read_own_gates(const JsonReader& entry, GraphReader& graph, GateStage& op) {
  GraphReader::allow_attributes(entry, {"scalars", "activations", "gates"});
  GraphReader::weights_of(entry, {});
  op.features = graph.features(GraphReader::inputs_of(entry, {"features"}), "features");
  op.gates = op.features;
  const OwnGates gates(entry, graph.stage_at(op.features).irreps);
  op.blocks = gates.blocks();
  graph.make_irreps(gates.out());
}

} // namespace

void read(const JsonReader& entry, GraphReader& graph, GateStage& op) {
  if (entry.at("op").string() == "gate") {
    read_uniform(entry, graph, op);
  } else {
    read_own_gates(entry, graph, op);
  }
}

SpeciesTables species_tables(GateStage&) { return {}; }

} // namespace eqnn
