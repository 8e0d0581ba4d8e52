// SPDX-License-Identifier: BSD-3-Clause
#include "plan/plan_builder.hpp"

#include "plan/table_cache.hpp"

#include <algorithm>
#include <numeric>
#include <type_traits>

namespace eqnn::plan {
namespace {

/// Index of `item` in `list`. Appends it if there is no equal item.
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

} // namespace

PlanBuilder::PlanBuilder(const ModelSpec& model, const Options& options, TableCache* cache)
    : model_(model)
    , options_(options)
    , cache_(cache) {}

Plan PlanBuilder::run() {
  plan_.cutoff = model_.cutoff;
  plan_.l_max = model_.l_max;
  plan_.direct_forces = model_.forces == ForceKind::Direct;
  for (current_ = 0; current_ < static_cast<StageIndex>(model_.graph.size()); ++current_) {
    std::visit([&](const auto& op) { lower(op, *this); }, current().op);
  }
  drop_unused_radials();
  return std::move(plan_);
}

namespace {

template <class Op, class = void> constexpr bool kReadsRadial = false;
template <class Op> constexpr bool kReadsRadial<Op, std::void_t<decltype(Op::radial)>> = true;

/// Calls use(index) for each index of a radial table in the plan.
template <class Use> void for_radials(std::vector<Stage>& stages, const Use& use) {
  for (Stage& stage : stages) {
    std::visit(
        [&](auto& op) {
          if constexpr (kReadsRadial<std::decay_t<decltype(op)>>) {
            use(op.radial);
          }
        },
        stage);
  }
}

} // namespace

void PlanBuilder::drop_unused_radials() {
  std::vector<std::int32_t> place(plan_.radials.size(), -1);
  for_radials(plan_.stages,
              [&](std::int32_t radial) { place[static_cast<std::size_t>(radial)] = 0; });
  std::vector<RadialTable> kept;
  for (std::size_t k = 0; k < place.size(); ++k) {
    if (place[k] == 0) {
      place[k] = static_cast<std::int32_t>(kept.size());
      kept.push_back(std::move(plan_.radials[k]));
    }
  }
  plan_.radials = std::move(kept);
  for_radials(plan_.stages,
              [&](std::int32_t& radial) { radial = place[static_cast<std::size_t>(radial)]; });
}

ValueId PlanBuilder::new_value(const std::string& name, const std::vector<Block>& blocks) {
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

std::vector<Block> PlanBuilder::blocks_of(const Irreps& irreps) {
  std::vector<Block> blocks;
  for (const IrrepsBlock& block : irreps) {
    blocks.push_back({block.components(), block.channels, block.channels});
  }
  return blocks;
}

ValueId PlanBuilder::output() { return output(blocks_of(current().irreps)); }

ValueId PlanBuilder::output(const std::vector<Block>& blocks) {
  return index_of_[current_] = new_value(current().output, blocks);
}

const std::vector<Block>& PlanBuilder::blocks(StageIndex k) const {
  return plan_.values[static_cast<std::size_t>(index(k))].blocks;
}

bool PlanBuilder::same_layout(StageIndex a, StageIndex b) const {
  const auto& left = blocks(a);
  const auto& right = blocks(b);
  return std::equal(
      left.begin(), left.end(), right.begin(), right.end(), [&](const Block& x, const Block& y) {
        return x.components == y.components && padded(x.reserved, options_.channel_multiple) ==
                                                   padded(y.reserved, options_.channel_multiple);
      });
}

Input PlanBuilder::compact(StageIndex k) {
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
  Linear copy;
  copy.in = input(k);
  std::vector<Block> narrow = blocks(k);
  for (std::size_t b = 0; b < narrow.size(); ++b) {
    const auto n = static_cast<std::size_t>(narrow[b].channels);
    narrow[b].reserved = narrow[b].channels;
    BlockMap map{static_cast<std::int32_t>(b), static_cast<std::int32_t>(b), 1, {}};
    map.weight.assign(n * n, 0.0);
    for (std::size_t c = 0; c < n; ++c) {
      map.weight[c * n + c] = 1.0;
    }
    copy.maps.push_back(std::move(map));
  }
  copy.out = compact_of_[k] = new_value(stage(k).output + ".compact", narrow);
  plan_.stages.emplace_back(copy);
  return {copy.out, Write::Add};
}

void PlanBuilder::current_is_coupling(Coupling coupling) {
  index_of_[current_] =
      add_once(plan_.couplings, std::move(coupling), [](const Coupling& a, const Coupling& b) {
        return a.values == b.values;
      });
}

void PlanBuilder::current_is_radial(RadialTable table) {
  index_of_[current_] = add_radial(std::move(table));
}

RadialTable PlanBuilder::tabulated(const RadialStage& radial) {
  if (cache_ == nullptr || radial.depends_on_species()) {
    return tabulate(radial, model_.cutoff, options_);
  }
  const TableCache::Key key{current_, options_.radial_tolerance, options_.radial_degree};
  if (cache_->tables.count(key) == 0) {
    cache_->tables.emplace(key, tabulate(radial, model_.cutoff, options_));
  }
  return cache_->tables.at(key);
}

std::int32_t PlanBuilder::add_radial(RadialTable table) {
  return add_once(plan_.radials, std::move(table), [](const RadialTable& a, const RadialTable& b) {
    return a.n_intervals == b.n_intervals && a.channels == b.channels &&
           a.coefficients == b.coefficients && a.pairs == b.pairs &&
           a.channel_of_pair == b.channel_of_pair;
  });
}

std::int32_t PlanBuilder::segmented(std::int32_t radial,
                                    const std::map<std::int32_t, std::int32_t>& segments,
                                    std::map<std::int32_t, std::int32_t>& offset) {
  const RadialTable& table = plan_.radials[static_cast<std::size_t>(radial)];
  RadialTable wide;
  for (const auto& [first, channels] : segments) {
    offset[first] = wide.channels;
    wide.channels += padded(channels, options_.channel_multiple);
  }
  if (wide.channels == table.channels) {
    return radial;
  }
  wide.degree = table.degree;
  wide.n_intervals = table.n_intervals;
  wide.error = table.error;
  wide.pairs = table.pairs;
  if (table.pairs) {
    wide.channel_of_pair.assign(static_cast<std::size_t>(wide.channels), -1);
    for (const auto& [first, channels] : segments) {
      std::iota(wide.channel_of_pair.begin() + offset[first],
                wide.channel_of_pair.begin() + offset[first] + channels,
                first);
    }
    return add_radial(std::move(wide));
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

void PlanBuilder::need_harmonics(std::int32_t components) {
  plan_.harmonics = std::max(plan_.harmonics, components);
}

Plan lower(const ModelSpec& model, const Options& options) {
  return PlanBuilder(model, options).run();
}

std::int64_t width_of(const NodeValue& value, std::int32_t channel_multiple) {
  std::int64_t width = 0;
  for (const Block& block : value.blocks) {
    width += std::int64_t{block.components} * padded(block.reserved, channel_multiple);
  }
  return width;
}

} // namespace eqnn::plan
