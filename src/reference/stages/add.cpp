// SPDX-License-Identifier: BSD-3-Clause
#include "reference/network.hpp"

namespace eqnn::reference {
namespace {

/// Calls use(component of the sum, component of x, channel).
template <class Use>
void for_shared_blocks(const Irreps& sum_irreps, const Irreps& x_irreps, const Use& use) {
  for (std::size_t b = 0; b < x_irreps.size(); ++b) {
    const std::int32_t to = first_component(sum_irreps, find_block(sum_irreps, x_irreps[b]));
    const std::int32_t from = first_component(x_irreps, static_cast<std::int32_t>(b));
    for (std::int32_t m = 0; m < x_irreps[b].components(); ++m) {
      for (std::int32_t c = 0; c < x_irreps[b].channels; ++c) {
        use(to + m, from + m, c);
      }
    }
  }
}

/// sum += x. The blocks of x are a subset of those of sum.
void add_blocks(Value& sum, const Irreps& sum_irreps, const Value& x, const Irreps& x_irreps) {
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for_shared_blocks(
        sum_irreps, x_irreps, [&](std::int32_t to, std::int32_t from, std::int32_t c) {
          sum.at(i, to, c) += x.at(i, from, c);
        });
  }
}

/// x += the same blocks of sum.
void take_blocks(Value& x, const Irreps& x_irreps, const Value& sum, const Irreps& sum_irreps) {
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for_shared_blocks(
        sum_irreps, x_irreps, [&](std::int32_t to, std::int32_t from, std::int32_t c) {
          x.at(i, from, c) += sum.at(i, to, c);
        });
  }
}

} // namespace

Value forward(const AddStage& op, Network& network) {
  Value sum = network.value(op.a);
  add_blocks(sum, network.irreps(op.a), network.value(op.b), network.irreps(op.b));
  return sum;
}

void adjoint(const AddStage& op, Network& network) {
  take_blocks(network.adjoint(op.a), network.irreps(op.a), network.adj_out(), network.out_irreps());
  take_blocks(network.adjoint(op.b), network.irreps(op.b), network.adj_out(), network.out_irreps());
}

} // namespace eqnn::reference
