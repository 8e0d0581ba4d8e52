// SPDX-License-Identifier: BSD-3-Clause
#include "plan/compile.hpp"

#include <algorithm>
#include <map>

namespace eqnn::plan {
namespace {

std::vector<double> transposed(const Tensor& matrix) {
  const auto rows = static_cast<std::size_t>(matrix.shape[0]);
  const auto columns = static_cast<std::size_t>(matrix.shape[1]);
  std::vector<double> out(rows * columns);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < columns; ++c) {
      out[c * rows + r] = matrix.values[r * columns + c];
    }
  }
  return out;
}

/// T[k][j][i] -> T[j][i][k]
Coupling reordered(const EdgeMatrixStage& stage) {
  Coupling coupling;
  coupling.components = static_cast<std::int32_t>(stage.coupling.shape[0]);
  const auto d = static_cast<std::size_t>(coupling.components);
  coupling.values.resize(d * d * d);
  for (std::size_t k = 0; k < d; ++k) {
    for (std::size_t j = 0; j < d; ++j) {
      for (std::size_t i = 0; i < d; ++i) {
        coupling.values[(j * d + i) * d + k] = stage.coupling.values[(k * d + j) * d + i];
      }
    }
  }
  return coupling;
}

/// Index of `item` in `list`, appended if no equal one is there.
template <class Item, class Equal>
std::int32_t add_once(std::vector<Item>& list, Item item, Equal equal) {
  const auto found =
      std::find_if(list.begin(), list.end(), [&](const Item& other) { return equal(item, other); });
  const auto index = static_cast<std::int32_t>(found - list.begin());
  if (found == list.end()) {
    list.push_back(std::move(item));
  }
  return index;
}

class Lowering {
public:
  Lowering(const ModelSpec& model, const Options& options)
      : model_(model)
      , options_(options) {}

  Plan run() {
    plan_.cutoff = model_.cutoff;
    plan_.l_max = model_.l_max;
    plan_.energy_scale = model_.energy.scale;
    for (const double reference : model_.energy.reference) {
      plan_.atom_energy.push_back(model_.energy.shift + reference);
    }
    plan_.isolated_atoms_are_zero = model_.energy.isolated_atoms_are_zero;
    plan_.direct_forces = model_.forces == ForceKind::Direct;
    for (current_ = 0; current_ < static_cast<StageIndex>(model_.graph.size()); ++current_) {
      std::visit([&](const auto& op) { lower(op); }, stage(current_).op);
    }
    return std::move(plan_);
  }

private:
  const eqnn::Stage& stage(StageIndex k) const { return model_.graph[static_cast<std::size_t>(k)]; }

  ValueId new_value(const std::string& name, std::int32_t components, std::int32_t channels) {
    NodeValue value;
    value.name = name;
    value.components = components;
    value.channels = channels;
    plan_.values.push_back(value);
    return static_cast<ValueId>(plan_.values.size()) - 1;
  }

  /// The value that this stage of the model makes.
  ValueId output() {
    const eqnn::Stage& s = stage(current_);
    return value_of_[current_] = new_value(s.output, (s.l_max + 1) * (s.l_max + 1), s.channels);
  }

  Input input(StageIndex k) const { return {value_of_.at(k), Write::Add}; }

  void lower(const SphericalHarmonicsStage&) {} // recomputed from the edge vector wherever needed

  void lower(const EdgeMatrixStage& op) {
    value_of_[current_] =
        add_once(plan_.couplings, reordered(op), [](const Coupling& a, const Coupling& b) {
          return a.values == b.values;
        });
  }

  void lower(const RadialStage& op) {
    value_of_[current_] = add_once(plan_.radials,
                                   tabulate(op, model_.cutoff, options_),
                                   [](const RadialTable& a, const RadialTable& b) {
                                     return a.n_intervals == b.n_intervals &&
                                            a.channels == b.channels &&
                                            a.coefficients == b.coefficients;
                                   });
  }

  void lower(const SpeciesEmbeddingStage& op) {
    const ValueId out = output();
    plan_.stages.emplace_back(Embedding{out, op.table.values});
  }

  void lower(const DegreeEmbeddingStage& op) {
    // W (sum over edges): the channel mixing moves from the edges to the nodes.
    const eqnn::Stage& s = stage(current_);
    const ValueId sum =
        new_value(s.output + ".sum", (s.l_max + 1) * (s.l_max + 1), stage(op.radial).channels);
    plan_.stages.emplace_back(NeighborSum{sum, value_of_.at(op.matrix), value_of_.at(op.radial)});
    Linear linear;
    linear.out = output();
    linear.in = {sum, Write::Add};
    linear.weight = transposed(op.weight);
    linear.bias = op.bias.values;
    linear.bias_per_neighbor = true;
    plan_.stages.emplace_back(std::move(linear));
  }

  void lower(const AddStage& op) {
    const ValueId out = output();
    plan_.stages.emplace_back(Add{out, input(op.a), input(op.b)});
  }

  void lower(const EquivariantNormStage& op) {
    const ValueId out = output();
    plan_.stages.emplace_back(
        Norm{out, input(op.features), op.eps, op.scale.values, op.shift.values});
  }

  void lower(const LinearStage& op) {
    Linear linear;
    linear.out = output();
    linear.in = input(op.features);
    linear.weight = transposed(op.weight);
    if (op.bias) {
      linear.bias = op.bias->values;
    }
    plan_.stages.emplace_back(std::move(linear));
  }

  void lower(const GateStage& op) {
    const ValueId out = output();
    plan_.stages.emplace_back(Gate{out, input(op.features), input(op.gates)});
  }

  void lower(const EdgeAttentionStage& op) {
    Attention attention;
    attention.out = output();
    attention.source = input(op.source);
    attention.center = input(op.center);
    plan_.values[static_cast<std::size_t>(attention.source.value)].on_ghosts = true;
    attention.matrix = value_of_.at(op.matrix);
    attention.radial = value_of_.at(op.radial);
    attention.heads = op.heads;
    attention.negative_slope = op.negative_slope;
    attention.eps = op.eps;
    attention.logit_weight = transposed(op.logit_weight);
    attention.value_weight = transposed(op.value_weight);
    attention.gate_weight = transposed(op.gate_weight);
    attention.logit_bias = op.logit_bias.values;
    attention.value_bias = op.value_bias.values;
    attention.gate_bias = op.gate_bias.values;
    attention.logit_vector = op.logit_vector.values;
    plan_.stages.emplace_back(std::move(attention));
  }

  void lower(const ReadoutStage& op) {
    Readout readout;
    readout.in = input(op.features);
    for (const auto& layer : op.layers) {
      Dense dense;
      dense.n_out = static_cast<std::int32_t>(layer.weight.shape[0]);
      dense.n_in = static_cast<std::int32_t>(layer.weight.shape[1]);
      dense.weight = layer.weight.values;
      dense.bias = layer.bias ? layer.bias->values
                              : std::vector<double>(static_cast<std::size_t>(dense.n_out), 0.0);
      dense.silu = layer.activation == Activation::Silu;
      readout.layers.push_back(std::move(dense));
    }
    plan_.stages.emplace_back(std::move(readout));
  }

  void lower(const DirectForcesStage& op) {
    plan_.stages.emplace_back(DirectForces{input(op.features)});
  }

  void lower(const EnergyStage&) {} // every readout adds to the atom's energy

  const ModelSpec& model_;
  const Options& options_;
  Plan plan_;
  StageIndex current_ = 0;
  /// value, coupling or radial that a stage of the model became
  std::map<StageIndex, std::int32_t> value_of_;
};

/// In the order in which the stage's adjoint writes them.
std::vector<Input*> inputs_of(Stage& stage) {
  struct Lister {
    std::vector<Input*> operator()(Embedding&) const { return {}; }

    std::vector<Input*> operator()(NeighborSum&) const { return {}; }

    std::vector<Input*> operator()(Linear& s) const { return {&s.in, &s.residual}; }

    std::vector<Input*> operator()(Add& s) const { return {&s.a, &s.b}; }

    std::vector<Input*> operator()(Norm& s) const { return {&s.in}; }

    std::vector<Input*> operator()(Gate& s) const { return {&s.features, &s.gates}; }

    std::vector<Input*> operator()(Attention& s) const { return {&s.source, &s.center}; }

    std::vector<Input*> operator()(Readout& s) const { return {&s.in}; }

    std::vector<Input*> operator()(DirectForces& s) const { return {&s.in}; }
  };

  auto inputs = std::visit(Lister{}, stage);
  inputs.erase(std::remove_if(inputs.begin(),
                              inputs.end(),
                              [](const Input* in) { return in->value == kNoValue; }),
               inputs.end());
  return inputs;
}

ValueId output_of(const Stage& stage) {
  return std::visit(
      [](const auto& s) -> ValueId {
        if constexpr (std::is_same_v<std::decay_t<decltype(s)>, Readout> ||
                      std::is_same_v<std::decay_t<decltype(s)>, DirectForces>) {
          return kNoValue;
        } else {
          return s.out;
        }
      },
      stage);
}

/// Values that the stage's adjoint reads again.
std::vector<ValueId> needed_by_adjoint(const Stage& stage) {
  if (const auto* norm = std::get_if<Norm>(&stage)) {
    return {norm->in.value};
  }
  if (const auto* gate = std::get_if<Gate>(&stage)) {
    return {gate->features.value, gate->gates.value};
  }
  if (const auto* attention = std::get_if<Attention>(&stage)) {
    return {attention->source.value, attention->center.value, attention->out};
  }
  if (const auto* readout = std::get_if<Readout>(&stage)) {
    return {readout->in.value};
  }
  return {};
}

/// The time for which something must stay in memory. Stage k runs forward at time k and in reverse
/// at 2n - 1 - k.
struct Lifetime {
  std::int64_t begin = -1, end = -1;
  std::int64_t width = 0;
  bool on_ghosts = false;
  std::int32_t* buffer = nullptr;

  void touch(std::int64_t time) {
    begin = begin < 0 ? time : std::min(begin, time);
    end = std::max(end, time);
  }
};

/// Greedy colouring of intervals in order of their begin.
void assign_buffers(std::vector<Lifetime> lifetimes, std::vector<Buffer>& buffers) {
  std::stable_sort(lifetimes.begin(), lifetimes.end(), [](const Lifetime& a, const Lifetime& b) {
    return a.begin < b.begin;
  });
  std::vector<std::int64_t> free_from; // per buffer: the first time at which it is free
  for (const Lifetime& life : lifetimes) {
    std::size_t best = buffers.size();
    for (std::size_t b = 0; b < buffers.size(); ++b) {
      const bool fits = buffers[b].on_ghosts == life.on_ghosts && free_from[b] <= life.begin;
      const auto mismatch = [&](std::size_t k) { return std::abs(buffers[k].width - life.width); };
      if (fits && (best == buffers.size() || mismatch(b) < mismatch(best))) {
        best = b;
      }
    }
    if (best == buffers.size()) {
      buffers.push_back({0, life.on_ghosts});
      free_from.push_back(0);
    }
    buffers[best].width = std::max(buffers[best].width, life.width);
    free_from[best] = life.end + 1;
    *life.buffer = static_cast<std::int32_t>(best);
  }
}

} // namespace

Plan lower(const ModelSpec& model, const Options& options) {
  return Lowering(model, options).run();
}

void fuse_residuals(Plan& plan) {
  std::vector<int> n_uses(plan.values.size(), 0);
  for (Stage& stage : plan.stages) {
    for (const Input* in : inputs_of(stage)) {
      ++n_uses[static_cast<std::size_t>(in->value)];
    }
  }
  std::vector<Stage> fused;
  for (Stage& stage : plan.stages) {
    const auto* add = std::get_if<Add>(&stage);
    bool done = false;
    if (add != nullptr) {
      for (const auto& [term, other] :
           {std::pair{add->a.value, add->b.value}, std::pair{add->b.value, add->a.value}}) {
        const auto producer =
            std::find_if(fused.begin(), fused.end(), [&, t = term](const Stage& s) {
              return output_of(s) == t;
            });
        auto* linear = producer == fused.end() ? nullptr : std::get_if<Linear>(&*producer);
        if (!done && linear != nullptr && linear->residual.value == kNoValue &&
            n_uses[static_cast<std::size_t>(term)] == 1 && term != other) {
          Linear with_residual = std::move(*linear);
          with_residual.residual = {other, Write::Add};
          with_residual.out = add->out;
          // and stands where the addition stood, after everything that makes the other term
          fused.erase(producer);
          fused.emplace_back(std::move(with_residual));
          done = true;
        }
      }
    }
    if (!done) {
      fused.push_back(std::move(stage));
    }
  }
  plan.stages = std::move(fused);
}

void schedule(Plan& plan, std::int32_t channel_multiple) {
  const auto n = static_cast<std::int64_t>(plan.stages.size());
  std::vector<Lifetime> values(plan.values.size());
  std::vector<Lifetime> adjoints(plan.values.size());
  for (std::size_t v = 0; v < plan.values.size(); ++v) {
    NodeValue& value = plan.values[v];
    const std::int64_t width =
        std::int64_t{value.components} * padded(value.channels, channel_multiple);
    values[v].width = adjoints[v].width = width;
    values[v].on_ghosts = adjoints[v].on_ghosts = value.on_ghosts;
    values[v].buffer = &value.buffer;
    adjoints[v].buffer = &value.adjoint_buffer;
  }
  for (std::int64_t k = 0; k < n; ++k) {
    Stage& stage = plan.stages[static_cast<std::size_t>(k)];
    if (const ValueId out = output_of(stage); out != kNoValue) {
      values[static_cast<std::size_t>(out)].touch(k);
    }
    for (const Input* in : inputs_of(stage)) {
      values[static_cast<std::size_t>(in->value)].touch(k);
    }
    for (const ValueId v : needed_by_adjoint(stage)) {
      values[static_cast<std::size_t>(v)].touch(2 * n - 1 - k);
    }
  }
  for (std::int64_t k = n; k-- > 0;) {
    Stage& stage = plan.stages[static_cast<std::size_t>(k)];
    if (const ValueId out = output_of(stage); out != kNoValue) {
      adjoints[static_cast<std::size_t>(out)].touch(2 * n - 1 - k);
    }
    for (Input* in : inputs_of(stage)) {
      Lifetime& adjoint = adjoints[static_cast<std::size_t>(in->value)];
      in->adjoint = adjoint.begin < 0 ? Write::Overwrite : Write::Add;
      adjoint.touch(2 * n - 1 - k);
    }
  }
  std::vector<Lifetime> all;
  for (const auto& lifetimes : {values, adjoints}) {
    std::copy_if(lifetimes.begin(),
                 lifetimes.end(),
                 std::back_inserter(all),
                 [](const Lifetime& life) { return life.begin >= 0; });
  }
  plan.buffers.clear();
  assign_buffers(all, plan.buffers);
}

Plan compile(const ModelSpec& model, const Options& options) {
  Plan plan = lower(model, options);
  fuse_residuals(plan);
  schedule(plan, options.channel_multiple);
  return plan;
}

} // namespace eqnn::plan
