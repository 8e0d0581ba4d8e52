// SPDX-License-Identifier: BSD-3-Clause
// Each stage of the model as a stage of the plan.
#include "base/error.hpp"
#include "plan/compile.hpp"
#include "plan/sphere.hpp"
#include "plan/zonal.hpp"
#include "so3/coupling.hpp"
#include "so3/spherical_harmonics.hpp"

#include <algorithm>
#include <cmath>
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

class StageLowering {
public:
  StageLowering(const ModelSpec& model, const Options& options)
      : model_(model)
      , options_(options) {}

  Plan run() {
    plan_.cutoff = model_.cutoff;
    plan_.l_max = model_.l_max;
    plan_.direct_forces = model_.forces == ForceKind::Direct;
    for (current_ = 0; current_ < static_cast<StageIndex>(model_.graph.size()); ++current_) {
      std::visit([&](const auto& op) { lower(op); }, stage(current_).op);
    }
    return std::move(plan_);
  }

private:
  const eqnn::Stage& stage(StageIndex k) const { return model_.graph[static_cast<std::size_t>(k)]; }

  ValueId new_value(const std::string& name, const std::vector<Block>& blocks) {
    NodeValue value;
    value.name = name;
    value.blocks = blocks;
    value.channels = blocks.front().channels;
    for (const Block& block : blocks) {
      value.components += block.components;
      if (block.channels != value.channels) {
        value.channels = 0;
      }
    }
    plan_.values.push_back(value);
    return static_cast<ValueId>(plan_.values.size()) - 1;
  }

  static std::vector<Block> blocks_of(const Irreps& irreps) {
    std::vector<Block> blocks;
    for (const IrrepsBlock& block : irreps) {
      blocks.push_back({block.components(), block.channels, block.channels});
    }
    return blocks;
  }

  /// The value that this stage of the model makes.
  ValueId output() { return output(blocks_of(stage(current_).irreps)); }

  ValueId output(const std::vector<Block>& blocks) {
    return value_of_[current_] = new_value(stage(current_).output, blocks);
  }

  const std::vector<Block>& blocks(StageIndex k) const {
    return plan_.values[static_cast<std::size_t>(value_of_.at(k))].blocks;
  }

  Input input(StageIndex k) const { return {value_of_.at(k), Write::Add}; }

  /// For stages that read all components of uniform features at one stride: rows as wide as their
  /// channels need. What an edge product left wider is copied, by a map that changes nothing.
  Input compact(StageIndex k) {
    const auto is_compact = [&](const Block& block) {
      return padded(block.reserved, options_.channel_multiple) ==
             padded(block.channels, options_.channel_multiple);
    };
    if (std::all_of(blocks(k).begin(), blocks(k).end(), is_compact)) {
      return input(k);
    }
    if (const auto found = compact_of_.find(k); found != compact_of_.end()) {
      return {found->second, Write::Add};
    }
    BlockLinear copy;
    copy.in = input(k);
    std::vector<Block> narrow = blocks(k);
    for (std::size_t b = 0; b < narrow.size(); ++b) {
      const auto n = static_cast<std::size_t>(narrow[b].channels);
      narrow[b].reserved = narrow[b].channels;
      BlockMap map{static_cast<std::int32_t>(b), static_cast<std::int32_t>(b), {}};
      map.weight.assign(n * n, 0.0);
      for (std::size_t c = 0; c < n; ++c) {
        map.weight[c * n + c] = 1.0;
      }
      copy.blocks.push_back(std::move(map));
    }
    copy.out = compact_of_[k] = new_value(stage(k).output + ".compact", narrow);
    plan_.stages.emplace_back(copy);
    return {copy.out, Write::Add};
  }

  void lower(const SphericalHarmonicsStage&) {} // recomputed from the edge vector wherever needed

  void lower(const EdgeMatrixStage& op) {
    value_of_[current_] =
        add_once(plan_.couplings, reordered(op), [](const Coupling& a, const Coupling& b) {
          return a.values == b.values;
        });
  }

  void lower(const RadialStage& op) {
    value_of_[current_] = add_radial(tabulate(op, model_.cutoff, options_));
  }

  std::int32_t add_radial(RadialTable table) {
    return add_once(
        plan_.radials, std::move(table), [](const RadialTable& a, const RadialTable& b) {
          return a.n_intervals == b.n_intervals && a.channels == b.channels &&
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
    std::vector<Block> blocks = blocks_of(s.irreps);
    for (Block& block : blocks) {
      block.channels = block.reserved = stage(op.radial).channels;
    }
    const ValueId sum = new_value(s.output + ".sum", blocks);
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
    const Irreps& a = stage(op.a).irreps;
    const Irreps& b = stage(op.b).irreps;
    Add add;
    // With room for what SIMD loops leave behind: the layout of the first term.
    add.out = output(blocks(op.a));
    add.a = input(op.a);
    add.b = input(op.b);
    if (!(a == b) || !same_layout(op.a, op.b)) {
      for (const IrrepsBlock& block : b) {
        add.blocks.push_back(find_block(a, block));
      }
    }
    plan_.stages.emplace_back(std::move(add));
  }

  void lower(const EquivariantNormStage& op) {
    const Input in = compact(op.features);
    const ValueId out = output();
    plan_.stages.emplace_back(Norm{out, in, op.eps, op.scale.values, op.shift.values});
  }

  void lower(const LinearStage& op) {
    Linear linear;
    linear.in = compact(op.features);
    linear.out = output();
    linear.weight = transposed(op.weight);
    if (op.bias) {
      linear.bias = op.bias->values;
    }
    plan_.stages.emplace_back(std::move(linear));
  }

  void lower(const GateStage& op) {
    const Input features = compact(op.features);
    const Input gates = compact(op.gates);
    const ValueId out = output();
    plan_.stages.emplace_back(Gate{out, features, gates});
  }

  void lower(const EdgeAttentionStage& op) {
    Attention attention;
    attention.source = compact(op.source);
    attention.center = compact(op.center);
    attention.out = output();
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

  bool same_layout(StageIndex a, StageIndex b) const {
    const auto& left = blocks(a);
    const auto& right = blocks(b);
    return std::equal(
        left.begin(), left.end(), right.begin(), right.end(), [&](const Block& x, const Block& y) {
          return x.components == y.components && padded(x.reserved, options_.channel_multiple) ==
                                                     padded(y.reserved, options_.channel_multiple);
        });
  }

  void lower(const IrrepsLinearStage& op) {
    BlockLinear linear;
    linear.in = input(op.features);
    linear.out = output();
    linear.per_species = op.per_species;
    for (const BlockWeight& w : op.blocks) {
      BlockMap map{w.in, w.out, {}};
      const std::size_t n_matrices = op.per_species ? model_.species.size() : 1;
      const std::size_t size = w.weight.values.size() / n_matrices;
      const std::size_t rank = w.weight.shape.size();
      for (std::size_t k = 0; k < n_matrices; ++k) {
        const auto begin = w.weight.values.begin() + static_cast<std::ptrdiff_t>(k * size);
        const Tensor matrix{{w.weight.shape[rank - 2], w.weight.shape[rank - 1]},
                            {begin, begin + static_cast<std::ptrdiff_t>(size)}};
        const auto columns = transposed(matrix);
        map.weight.insert(map.weight.end(), columns.begin(), columns.end());
      }
      linear.blocks.push_back(std::move(map));
    }
    if (op.bias) {
      linear.bias = op.bias->values;
    }
    plan_.stages.emplace_back(std::move(linear));
  }

  // ---- products along edges ----

  /// Room for the channels of every path: a SIMD loop over a path may end within the next one's.
  void reserve(std::vector<Block>& blocks, const std::vector<Path>& paths) const {
    for (const Path& path : paths) {
      Block& block = blocks[static_cast<std::size_t>(path.out)];
      block.reserved =
          std::max(block.reserved, path.channel + padded(path.channels, options_.channel_multiple));
    }
  }

  /// The radial table with each segment's channels padded, so that a SIMD loop over one reads zeros
  /// behind it; `offset`: of the old first channel of each segment to the new one.
  std::int32_t segmented(std::int32_t radial,
                         const std::map<std::int32_t, std::int32_t>& segments,
                         std::map<std::int32_t, std::int32_t>& offset) {
    const RadialTable& table = plan_.radials[static_cast<std::size_t>(radial)];
    RadialTable wide = table;
    wide.channels = 0;
    for (const auto& [first, channels] : segments) {
      offset[first] = wide.channels;
      wide.channels += padded(channels, options_.channel_multiple);
    }
    if (wide.channels == table.channels) {
      return radial;
    }
    const std::size_t n_rows = table.coefficients.size() / static_cast<std::size_t>(table.channels);
    wide.coefficients.assign(n_rows * static_cast<std::size_t>(wide.channels), 0.0);
    for (std::size_t row = 0; row < n_rows; ++row) {
      for (const auto& [first, channels] : segments) {
        const auto from = static_cast<std::ptrdiff_t>(row) * table.channels + first;
        std::copy_n(table.coefficients.begin() + from,
                    channels,
                    wide.coefficients.begin() + static_cast<std::ptrdiff_t>(row) * wide.channels +
                        offset[first]);
      }
    }
    return add_radial(std::move(wide));
  }

  /// The stage's output with room for what the product writes, and its place in the plan.
  template <class Product>
  void add_edge_stage(Product product, const std::vector<Block>& blocks, std::int32_t harmonics) {
    plan_.values[static_cast<std::size_t>(product.source.value)].on_ghosts = true;
    product.out = output(blocks);
    plan_.harmonics = std::max(plan_.harmonics, harmonics);
    plan_.stages.emplace_back(std::move(product));
  }

  /// Completes a product whose paths name logical radial channels.
  void add_product(EdgeProduct product, StageIndex source, StageIndex radial) {
    std::map<std::int32_t, std::int32_t> segments;
    for (const Path& path : product.paths) {
      segments[path.radial] = path.channels;
    }
    std::map<std::int32_t, std::int32_t> offset;
    product.radial = segmented(value_of_.at(radial), segments, offset);
    for (Path& path : product.paths) {
      path.radial = offset.at(path.radial);
    }
    product.source = input(source);
    std::vector<Block> blocks = blocks_of(stage(current_).irreps);
    reserve(blocks, product.paths);
    const std::int32_t harmonics = product.harmonics;
    add_edge_stage(std::move(product), blocks, harmonics);
  }

  /// Adds scale w3j(l1, l2, l3) to the entries of a path.
  static void add_coupling(EdgeProduct& product,
                           const Path& path,
                           std::int32_t l1,
                           std::int32_t l2,
                           std::int32_t l3,
                           double scale) {
    const std::vector<double> w3j = so3::wigner_3j(l1, l2, l3);
    const std::int32_t d2 = 2 * l2 + 1;
    const std::int32_t d3 = 2 * l3 + 1;
    for (std::int32_t m1 = 0; m1 < 2 * l1 + 1; ++m1) {
      for (std::int32_t m2 = 0; m2 < d2; ++m2) {
        for (std::int32_t m3 = 0; m3 < d3; ++m3) {
          const std::int32_t entry = path.entry + m1 * d3 + m3;
          product.coupling[static_cast<std::size_t>((l2 * l2 + m2) * product.entries + entry)] +=
              scale * w3j[static_cast<std::size_t>((m1 * d2 + m2) * d3 + m3)];
        }
      }
    }
  }

  void lower(const EdgeTensorProductStage& op) {
    const Irreps& source = stage(op.source).irreps;
    const Irreps& out = stage(current_).irreps;
    EdgeProduct product;
    std::int32_t l_max = 0;
    for (const TensorProductPath& p : op.paths) {
      const IrrepsBlock& from = source[static_cast<std::size_t>(p.source)];
      const IrrepsBlock& to = out[static_cast<std::size_t>(p.out)];
      product.paths.push_back(
          {p.source, p.out, from.channels, p.radial, p.channel, product.entries});
      product.entries += from.components() * to.components();
      l_max = std::max(l_max, p.l);
    }
    product.harmonics = (l_max + 1) * (l_max + 1);
    product.coupling.assign(static_cast<std::size_t>(product.harmonics * product.entries), 0.0);
    for (std::size_t k = 0; k < op.paths.size(); ++k) {
      add_coupling(product,
                   product.paths[k],
                   source[static_cast<std::size_t>(op.paths[k].source)].l,
                   op.paths[k].l,
                   out[static_cast<std::size_t>(op.paths[k].out)].l,
                   1.0);
    }
    add_product(std::move(product), op.source, op.radial);
  }

  /// One path for each pair of degrees and degree of the filter: those of one degree of the filter
  /// share its radial channels. Couplings are left to couple_gaunt(): to judge the paths needs none.
  static EdgeProduct gaunt_paths(std::int32_t l_source,
                                 std::int32_t l_filter,
                                 std::int32_t l_out,
                                 std::int32_t channels) {
    EdgeProduct product;
    for (std::int32_t l2 = 0; l2 <= l_filter; ++l2) {
      for (std::int32_t l1 = 0; l1 <= l_source; ++l1) {
        for (std::int32_t l3 = std::abs(l1 - l2); l3 <= std::min(l1 + l2, l_out); l3 += 2) {
          product.paths.push_back({l1, l3, channels, l2 * channels, 0, product.entries});
          product.entries += (2 * l1 + 1) * (2 * l3 + 1);
        }
      }
    }
    product.harmonics = so3::n_components(l_filter);
    return product;
  }

  static void couple_gaunt(EdgeProduct& product) {
    product.coupling.assign(static_cast<std::size_t>(product.harmonics * product.entries), 0.0);
    for (const Path& path : product.paths) {
      const std::int32_t l1 = path.source;
      const std::int32_t l2 = path.radial / path.channels;
      const std::int32_t l3 = path.out;
      add_coupling(product, path, l1, l2, l3, so3::gaunt_factor(l1, l2, l3));
    }
  }

  void lower(const GauntConvolutionStage& op) {
    const std::int32_t l_source = stage(op.source).l_max;
    const std::int32_t l_filter = stage(op.harmonics).l_max;
    const std::int32_t l_out = stage(current_).l_max;
    const std::int32_t channels = stage(op.source).channels;
    EdgeProduct paths = gaunt_paths(l_source, l_filter, l_out, channels);
    // A filter of degree 0 has no direction to turn to.
    const bool can_align = l_filter > 0 && std::max(l_source, l_out) <= kMostZonalDegree;
    if (can_align && options_.convolutions != Lowering::Sparse) {
      ZonalProduct zonal = zonal_product(l_source, l_filter, l_out);
      if (options_.convolutions == Lowering::Aligned || cost(zonal) < cost(paths)) {
        plan_.convolutions.push_back(Lowering::Aligned);
        std::map<std::int32_t, std::int32_t> segments;
        for (std::int32_t l = 0; l <= l_filter; ++l) {
          segments[l * channels] = channels;
        }
        std::map<std::int32_t, std::int32_t> offset;
        zonal.radial = segmented(value_of_.at(op.radial), segments, offset);
        zonal.source = compact(op.source);
        add_edge_stage(std::move(zonal), blocks_of(stage(current_).irreps), so3::n_components(1));
        return;
      }
    }
    plan_.convolutions.push_back(Lowering::Sparse);
    couple_gaunt(paths);
    add_product(std::move(paths), op.source, op.radial);
  }

  // ---- functions of one node ----

  static std::int32_t function_of(Activation activation) {
    switch (activation) {
    case Activation::Silu:
      return kSilu;
    case Activation::Tanh:
      return kTanh;
    case Activation::Sigmoid:
      return kSigmoid;
    case Activation::None:
      break;
    }
    return kIdentity;
  }

  void lower(const IrrepsGateStage& op) {
    const Irreps& in = stage(op.features).irreps;
    const Irreps& out = stage(current_).irreps;
    BlockGate gate;
    gate.in = input(op.features);
    gate.out = output();
    for (const bool odd : {false, true}) {
      const std::int32_t n = odd ? op.odd_scalars : op.even_scalars;
      if (n > 0) {
        gate.rows.push_back({find_block(in, {0, odd, 0}),
                             find_block(out, {0, odd, 0}),
                             -1,
                             0,
                             n,
                             function_of(odd ? op.odd_activation : op.even_activation)});
      }
    }
    std::int32_t channel = op.odd_gates ? op.odd_scalars : op.even_scalars;
    for (std::size_t b = 0; b < in.size(); ++b) {
      if (in[b].l > 0) {
        gate.rows.push_back({static_cast<std::int32_t>(b),
                             find_block(out, {in[b].l, in[b].odd != op.odd_gates, 0}),
                             find_block(in, {0, op.odd_gates, 0}),
                             channel,
                             in[b].channels,
                             function_of(op.gate_activation)});
        channel += in[b].channels;
      }
    }
    plan_.stages.emplace_back(std::move(gate));
  }

  void lower(const RmsNormStage& op) {
    RmsNorm norm;
    norm.in = input(op.features);
    norm.out = output(blocks(op.features));
    norm.eps = op.eps;
    for (const Tensor& scale : op.scale) {
      norm.scale.push_back(scale.values);
    }
    plan_.stages.emplace_back(std::move(norm));
  }

  void lower(const SymmetricContractionStage& op) {
    Polynomial polynomial = contraction(op, stage(current_).irreps, model_.species.size());
    polynomial.in = compact(op.features);
    polynomial.out = output();
    plan_.stages.emplace_back(std::move(polynomial));
  }

  void lower(const SpherePolynomialStage& op) {
    auto made = sphere_polynomial(op,
                                  stage(op.features).l_max,
                                  stage(current_).l_max,
                                  model_.species.size(),
                                  options_.products);
    std::visit(
        [&](auto& polynomial) {
          polynomial.in = compact(op.features);
          polynomial.out = output();
          plan_.products.push_back(lowering_of(polynomial));
          plan_.stages.emplace_back(std::move(polynomial));
        },
        made);
  }

  static Lowering lowering_of(const Polynomial&) { return Lowering::Sparse; }

  static Lowering lowering_of(const SpherePower& power) { return power.lowering; }

  void lower(const GauntProductStage& op) {
    SphereProduct product = sphere_product(op,
                                           stage(op.a).l_max,
                                           stage(op.b).l_max,
                                           stage(current_).l_max,
                                           options_.products,
                                           options_.table_rate);
    plan_.products.push_back(product.lowering);
    product.a = compact(op.a);
    product.b = compact(op.b);
    product.out = output();
    plan_.stages.emplace_back(std::move(product));
  }

  void lower(const ZblStage& op) {
    Repulsion repulsion;
    const std::size_t n = model_.species.size();
    repulsion.n_species = static_cast<std::int32_t>(n);
    repulsion.p = op.p;
    repulsion.coefficients = op.coefficients;
    constexpr double kCoulomb = 14.3996; // eV Angstrom
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < n; ++j) {
        const double z_i = model_.species[i];
        const double z_j = model_.species[j];
        const double length = op.screening_length / (std::pow(z_i, op.screening_exponent) +
                                                     std::pow(z_j, op.screening_exponent));
        repulsion.prefactor.push_back(0.5 * kCoulomb * z_i * z_j);
        repulsion.range.push_back(op.radius.values[i] + op.radius.values[j]);
        for (const double exponent : op.exponents) {
          repulsion.exponents.push_back(exponent / length);
        }
      }
    }
    plan_.stages.emplace_back(std::move(repulsion));
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
    plan_.stages.emplace_back(DirectForces{compact(op.features)});
  }

  void lower(const EnergyStage&) {} // every readout adds to the atom's energy

  const ModelSpec& model_;
  const Options& options_;
  Plan plan_;
  StageIndex current_ = 0;
  std::map<StageIndex, ValueId> compact_of_; ///< copies that compact() made
  /// value, coupling or radial that a stage of the model became
  std::map<StageIndex, std::int32_t> value_of_;
};

} // namespace

Plan lower(const ModelSpec& model, const Options& options) {
  return StageLowering(model, options).run();
}

std::int64_t width_of(const NodeValue& value, std::int32_t channel_multiple) {
  std::int64_t width = 0;
  for (const Block& block : value.blocks) {
    width += std::int64_t{block.components} * padded(block.reserved, channel_multiple);
  }
  return width;
}

} // namespace eqnn::plan
