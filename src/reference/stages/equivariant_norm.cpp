// SPDX-License-Identifier: BSD-3-Clause
#include "reference/stages/equivariant_norm.hpp"

#include "reference/edges.hpp"
#include "reference/network.hpp"

#include <cmath>

namespace eqnn::reference {
namespace {

/// f of one node and one l, and 1/sqrt(mean f^2 + eps).
struct NormBlock {
  std::vector<double> f; ///< [2l+1, C]
  double inverse_norm = 0.0;
};

NormBlock
norm_block(const EquivariantNormStage& stage, const Value& x, std::int64_t node, std::int32_t l) {
  NormBlock block;
  double mean = 0.0;
  if (l == 0) {
    for (std::int32_t c = 0; c < x.channels; ++c) {
      mean += x.at(node, 0, c) / x.channels;
    }
  }
  double square = 0.0;
  for (std::int32_t lm = l * l; lm < (l + 1) * (l + 1); ++lm) {
    for (std::int32_t c = 0; c < x.channels; ++c) {
      block.f.push_back(x.at(node, lm, c) - mean);
      square += block.f.back() * block.f.back();
    }
  }
  block.inverse_norm = 1.0 / std::sqrt(square / static_cast<double>(block.f.size()) + stage.eps);
  return block;
}

} // namespace

Value equivariant_norm(const EquivariantNormStage& stage, const Value& x) {
  Value y(x.rows, x.components, x.channels);
  const std::int32_t l_max = degree_of(x.components - 1);
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for (std::int32_t l = 0; l <= l_max; ++l) {
      const NormBlock block = norm_block(stage, x, i, l);
      for (std::int32_t m = 0; m < 2 * l + 1; ++m) {
        for (std::int32_t c = 0; c < x.channels; ++c) {
          y.at(i, l * l + m, c) = block.f[static_cast<std::size_t>(m * x.channels + c)] *
                                      block.inverse_norm * weight_at(stage.scale, l, c) +
                                  (l == 0 ? bias_at(stage.shift, c) : 0.0);
        }
      }
    }
  }
  return y;
}

void equivariant_norm_adjoint(const EquivariantNormStage& stage,
                              const Value& x,
                              const Value& adj_out,
                              Value& adj_x) {
  const std::int32_t l_max = degree_of(x.components - 1);
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for (std::int32_t l = 0; l <= l_max; ++l) {
      const NormBlock block = norm_block(stage, x, i, l);
      const auto n = static_cast<double>(block.f.size());
      std::vector<double> adj_f(block.f.size());
      double projection = 0.0;
      for (std::size_t k = 0; k < block.f.size(); ++k) {
        const auto m = static_cast<std::int32_t>(k) / x.channels;
        const auto c = static_cast<std::int32_t>(k) % x.channels;
        adj_f[k] = adj_out.at(i, l * l + m, c) * weight_at(stage.scale, l, c);
        projection += adj_f[k] * block.f[k];
      }
      double mean = 0.0;
      for (std::size_t k = 0; k < block.f.size(); ++k) {
        adj_f[k] = block.inverse_norm * (adj_f[k] - block.f[k] * block.inverse_norm *
                                                        block.inverse_norm * projection / n);
        mean += adj_f[k] / n;
      }
      for (std::size_t k = 0; k < block.f.size(); ++k) {
        adj_x.at(i,
                 l * l + static_cast<std::int32_t>(k) / x.channels,
                 static_cast<std::int32_t>(k) % x.channels) += adj_f[k] - (l == 0 ? mean : 0.0);
      }
    }
  }
}

Value forward(const EquivariantNormStage& op, Network& network) {
  return equivariant_norm(op, network.value(op.features));
}

void adjoint(const EquivariantNormStage& op, Network& network) {
  equivariant_norm_adjoint(
      op, network.value(op.features), network.adj_out(), network.adjoint(op.features));
}

} // namespace eqnn::reference
